"""Proxies, certificates and other variables: what is wrong is named, and what is not used does no harm."""

import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from describing_project import Project, make_project
from loopback_server import Loopback, Reply, loopback

from fsarctl.errors import ConfigError
from fsarctl.text.llm import environment
from fsarctl.text.llm.environment import proxy_of
from fsarctl.text.llm.retries import Patience

ONCE = Patience(timeout=5, retries=0)
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir")


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = make_project(tmp_path, monkeypatch)
    monkeypatch.delenv("NO_PROXY")
    return project


def exported(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what a next step says: set the variable of its last ``export``."""
    name, _, value = shlex.split(re.findall(r"export (\S+)", step)[-1])[0].partition("=")
    monkeypatch.setenv(name, value)


BAD_PROXIES = {
    "a login, socks4": ("HTTP_PROXY", "socks4://me:hunter2@127.0.0.1:7890", "of a kind that cannot be used"),
    "a line end": ("HTTP_PROXY", "http://127.0.0.1:9\r", "no address of a proxy: 'http://127.0.0.1:9\\r'"),
    "no host": ("http_proxy", "http://:9", "no address of a proxy"),
    "no port": ("HTTP_PROXY", "http://127.0.0.1:nine", "no address of a proxy"),
    "a blank": ("all_proxy", "127.0.0.1:9 ", "no address of a proxy"),
    "a login and no scheme": ("ALL_PROXY", "me:hunter2@127.0.0.1:x", "no address of a proxy"),
    "socks": ("ALL_PROXY", "socks5://127.0.0.1:1089", "and the package for these is not installed"),
}


@pytest.mark.parametrize("name", BAD_PROXIES)
def test_a_proxy_that_can_be_none_is_named_and_where_it_is_not_used_does_no_harm(
    name: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, value, says = BAD_PROXIES[name]
    monkeypatch.setattr(environment, "_has_socks", lambda: False)
    monkeypatch.setenv(variable, value)
    with loopback() as server:
        with pytest.raises(ConfigError, match=re.escape(says)) as caught:
            project.describe(server, ["a"])
        assert caught.value.message.startswith(f"{variable} ")
        assert "hunter2" not in f"{caught.value.message} {caught.value.next_step}"
        assert server.requests == []
        exported(caught.value.next_step, monkeypatch)
        assert project.describe(server, ["a"])


def test_a_proxy_that_is_not_there_is_not_taken_for_the_server(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with loopback() as gone:
        proxy = gone.url.removesuffix("/v1")
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "example.org")
    with loopback() as server:
        with pytest.raises(ConfigError, match=rf"cannot reach the proxy {proxy} \(HTTP_PROXY\)") as caught:
            project.describe(server, ["a"], patience=ONCE)
        assert "Start the server" not in caught.value.next_step
        exported(caught.value.next_step, monkeypatch)
        assert os.environ["NO_PROXY"] == "example.org,127.0.0.1"
        assert project.describe(server, ["a"])


@pytest.mark.parametrize(
    ("status", "says"), [(403, "does not allow"), (407, "does not let through"), (502, "")]
)
def test_a_proxy_that_refuses_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, status: int, says: str
) -> None:
    page = Reply(b"<html><title>Blocked by policy</title>", status, {"retry-after-ms": "1"})
    with loopback() as server, loopback(lambda _: page) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1").replace("://", "://me:hunter2@"))
        with pytest.raises(ConfigError, match=f"{says}.*Blocked by policy") as caught:
            project.describe(server, [f"label {n}" for n in range(9)], patience=ONCE)
        assert "(HTTP_PROXY)" in caught.value.message
        assert "hunter2" not in f"{caught.value.message} {caught.value.next_step}"
        assert proxy.requests
        exported(caught.value.next_step, monkeypatch)
        assert project.describe(server, ["a"])


@contextmanager
def tunnel(answer: bytes) -> Iterator[str]:
    """A proxy that gives each connection this answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("403 Forbidden", "HTTPS_PROXY"),
        ("407 Proxy Authentication Required", "user and password"),
    ],
)
def test_a_proxy_that_does_not_tunnel_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, answer: str, says: str
) -> None:
    with tunnel(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n".encode()) as proxy:
        monkeypatch.setenv("https_proxy", "")
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(
            ConfigError, match=rf"the proxy {proxy} \(HTTPS_PROXY\) .*: it answers {answer}"
        ) as caught:
            project.describe("https://models.invalid/v1", ["a", "b"])
    assert says in caught.value.next_step
    assert "export NO_PROXY=models.invalid" in caught.value.next_step


@pytest.mark.parametrize(
    ("url", "unused", "is_used"),
    [
        ("http://example.org/v1", "", True),
        ("http://example.org/v1", "*", False),
        ("http://example.org/v1", "example.org", False),
        ("http://api.example.org/v1", "example.org", False),
        ("http://api.example.org/v1", ".example.org", False),
        ("http://api.example.org/v1", "*.example.org", False),
        ("http://badexample.org/v1", "example.org", True),
        ("http://EXAMPLE.org/v1", "localhost, example.ORG", False),
        ("http://example.org:8000/v1", "example.org:8000", False),
        ("http://example.org:8000/v1", "example.org:9000", True),
        ("http://10.1.2.3/v1", "10.0.0.0/8", False),
        ("http://11.1.2.3/v1", "10.0.0.0/8", True),
        ("http://[::1]:8000/v1", "::1", False),
        ("http://[::1]:8000/v1", "[::1]", False),
        ("http://[fe80::1]/v1", "fe80::/10", False),
        ("http://localhost/v1", "127.0.0.1", True),
    ],
)
def test_what_is_asked_without_the_proxy(
    url: str, unused: str, is_used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", unused)
    assert bool(proxy_of(url)) == is_used


def test_the_proxy_of_the_scheme_comes_before_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://secure:1")
    found = [proxy_of(url) for url in ("https://a/v1", "http://a/v1")]
    assert [(each.url, each.variable) for each in found if each] == [
        ("http://secure:1", "HTTPS_PROXY"),
        ("http://all:1", "ALL_PROXY"),
    ]


@contextmanager
def secure(folder: Path) -> Iterator[tuple[Loopback, Path]]:
    """A server on loopback with a certificate that it signed itself."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl makes the certificate")
    certificate, key = folder / "own.pem", folder / "own.key"
    subprocess.run(
        [
            *(program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=own", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with loopback() as server:
        server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
        yield server, certificate


def test_a_certificate_that_is_not_trusted_is_trusted_by_what_is_advised(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with secure(tmp_path) as (server, certificate):
        url = server.url.replace("http", "https")
        with pytest.raises(
            ConfigError, match="certificate is not trusted: self-signed certificate"
        ) as caught:
            project.describe(url, ["a"])
        assert "export SSL_CERT_FILE=FILE.pem" in caught.value.next_step
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert project.describe(url, ["a"])
        other = url.replace("127.0.0.1", "localhost")
        with pytest.raises(ConfigError, match=r"(?i)mismatch.*SSL_CERT_FILE"):
            project.describe(other, ["b"])


@pytest.mark.parametrize("content", [None, "no certificate\n", "a folder"])
def test_certificates_that_cannot_be_read_are_named(
    content: str | None, project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content == "a folder":
        path.mkdir()
    elif content:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigError, match=f"SSL_CERT_FILE names {path}, which cannot be read") as caught:
        project.describe("https://models.invalid/v1", ["a"])
    assert "unset SSL_CERT_FILE" in caught.value.next_step
    with loopback() as server:  # without TLS there is none to check
        assert project.describe(server, ["a"])


def test_an_address_from_the_environment_is_named_as_that(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "localhost:8000/v1")
    with pytest.raises(
        ConfigError, match="OPENAI_BASE_URL is not an http or https address: 'localhost:8000/v1'"
    ):
        project.describe("", ["a"])
    with pytest.raises(ConfigError, match=r"^describe\.base_url is not"):
        project.describe("localhost:8000/v1", ["a"])
