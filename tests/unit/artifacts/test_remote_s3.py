"""A remote cache on an S3 server on the loopback: dropped connections, halves, wrong bytes, wrong keys."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from test_transfer import Notes, contents, store, unit

from fsarctl.artifacts.transfer.remote import RemoteError
from fsarctl.errors import ConfigError, IntegrityError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
SECRET = "do-not-print-this-secret"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server."""
    from moto.server import ThreadedMotoServer

    started = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


def use(monkeypatch: pytest.MonkeyPatch, address: str, secret: str = "testing") -> None:
    """All that follows talks to that server."""
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    use(monkeypatch, server)
    name = f"bucket{abs(hash(tmp_path)) % 10**9}"
    client().create_bucket(Bucket=name)
    return f"s3://{name}/cache"


def client() -> Any:
    import boto3

    return boto3.client("s3")


def place(bucket: str) -> tuple[str, str]:
    name, _, folder = bucket.removeprefix("s3://").partition("/")
    return name, folder


def test_two_who_push_at_once_and_one_who_pulls(tmp_path: Path, bucket: str) -> None:
    stores = [store(tmp_path / name) for name in ("one", "two")]
    for each in stores:
        each.realise_all([unit(name, size=200_000) for name in "abc"])
    threads = [
        threading.Thread(target=each.transfers.push, args=(each.artifacts(), bucket)) for each in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    here = store(tmp_path / "here", bucket)
    new, there = here.transfers.pull()
    assert (len(new), there) == (3, 3)
    assert contents(here).keys() == contents(stores[0]).keys()
    assert all(not verdict.faults for verdict in here.verify())


class Cutting:
    """Passes bytes on to a server, and drops the first ``cuts`` connections after some bytes of an answer."""

    def __init__(self, address: str, cuts: int, after: int) -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        self._to, self.cuts, self._after = (host, int(port)), cuts, after
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(self._to)
            threading.Thread(target=self._pass, args=(near, far, None), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, self._after), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, most: int | None) -> None:
        passed = 0
        try:
            while piece := source.recv(65536):
                passed += len(piece)
                if most is not None and passed > most and self.cuts > 0:
                    self.cuts -= 1
                    break
                target.sendall(piece)
        except OSError:
            pass
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # the other thread waits on it, and so would its peer
            each.close()

    def close(self) -> None:
        self._listening.close()


def test_dropped_connections_lose_nothing(
    tmp_path: Path, bucket: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = store(tmp_path / "there")
    there.realise_all([unit(name, size=5_000_000) for name in "ab"])
    there.transfers.push(there.artifacts(), bucket)
    with closing(Cutting(server, 4, 100_000)) as cutting:
        use(monkeypatch, cutting.address)
        here = store(tmp_path / "here", bucket)
        for _ in range(5):  # the same command again goes on
            try:
                here.transfers.pull()
                break
            except RemoteError:
                assert all(not verdict.faults for verdict in here.verify())
        assert cutting.cuts == 0
    assert contents(here) == contents(there)


def test_half_an_upload_is_none_and_wrong_bytes_are_not_used(tmp_path: Path, bucket: str) -> None:
    there = store(tmp_path / "there")
    made = there.realise(unit("a", size=100_000))
    name, folder = place(bucket)
    sha256 = made.manifest.files["deep/er/numbers.bin"].sha256
    key = f"{folder}/files/{sha256[:2]}/{sha256}"
    begun = client().create_multipart_upload(Bucket=name, Key=key)
    client().upload_part(Bucket=name, Key=key, PartNumber=1, UploadId=begun["UploadId"], Body=b"half")
    assert store(tmp_path / "here").transfers.pull(address=bucket) == ([], 0)
    assert there.transfers.push([made], bucket) == 1
    client().put_object(Bucket=name, Key=key, Body=b"0" * 100_000)
    with pytest.raises(IntegrityError, match="came with other bytes"):
        store(tmp_path / "here").transfers.pull(address=bucket)
    assert store(tmp_path / "here").artifacts() == []
    there.transfers.push([made], bucket, again=True)
    assert len(store(tmp_path / "here").transfers.pull(address=bucket)[0]) == 1


def test_credentials_that_are_refused_or_missing_are_said_and_never_shown(
    tmp_path: Path, bucket: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2

    made = store(tmp_path / "there").realise(unit("a"))
    httpx2.post(f"{server}/moto-api/reset-auth", content=b"0")
    try:
        use(monkeypatch, server, SECRET)
        with pytest.raises(RemoteError, match="refuses these credentials") as refused:
            store(tmp_path / "there").transfers.push([made], bucket)
        assert SECRET not in f"{refused.value} {refused.value.next_step}"
    finally:
        httpx2.post(f"{server}/moto-api/reset-auth", content=b"1000000")
    use(monkeypatch, server)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(RemoteError, match="credentials"):
        store(tmp_path / "there").transfers.push([made], bucket)


def test_nobody_there_is_said_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Notes()
    with socket.socket() as bound:  # and nobody listens
        bound.bind(("127.0.0.1", 0))
        use(monkeypatch, f"http://127.0.0.1:{bound.getsockname()[1]}")
        here = store(tmp_path / "here", "s3://bucket/cache", notes)
        started = time.monotonic()
        assert here.realise(unit("a")).manifest.slot == "extract a"
        assert time.monotonic() - started < 20
    assert any("cannot be reached" in note and "made here" in note for note in notes.said)
    with pytest.raises(ConfigError):
        here.transfers.push(here.artifacts(), "nosuch://x")
