"""The Ray engine as far as it needs no Ray: addresses, and what is said where it is not installed.

What happens to tasks whose nodes die is tried on a cluster: ``make test-cluster``.
"""

import os
import platform
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import SHAPES
from typed import type_in

from fsarctl.cli.worker import Worker
from fsarctl.config.tables import RayConfig
from fsarctl.errors import InputError
from fsarctl.execution import ray_cluster
from fsarctl.execution.engine import Ended, Need, Place, Task, versions
from fsarctl.execution.ray_cluster import RayEngine
from fsarctl.progress import GIB


@pytest.fixture(autouse=True)
def _own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would have to be asked for it."""
    monkeypatch.setattr(ray_cluster, "_own_address", lambda: "127.0.0.1")


TASK = Task("eval k100 1-shot", "evaluate", "0123", ("eval",), Place("/"))


def refusal(address: str) -> InputError:
    with pytest.raises(InputError) as caught:
        ray_cluster._join(address, 1, threading.Event())
    return caught.value


def test_an_address_that_is_none_or_where_nobody_answers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "_ray", lambda: None)
    for address in ("head", "head:port", ":6379", "127.0.0.1:", "http://127.0.0.1:8265"):
        error = refusal(address)
        assert error.message == f"{address!r} is no address of a Ray cluster"
        assert "HOST:PORT" in error.next_step
    with socket.socket() as listening:  # bound, and nobody listens
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        assert refusal(f"127.0.0.1:{port}").message.startswith("nobody answers at ")
    assert "secret" not in refusal("me:secret@127.0.0.1:1").message
    assert "nobody answers" in refusal("127.0.0.1:99999").message


def test_who_answers_and_is_no_ray_is_told_from_one_that_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray waits for most of a minute for who says nothing; its servers speak HTTP/2."""
    heard: list[bytes] = []
    monkeypatch.setattr(ray_cluster, "_ray", lambda: None)
    monkeypatch.setattr(ray_cluster, "ANSWER_S", 0.5)
    settings = bytes.fromhex("000006040000000000000500004000")  # RFC 9113, 4.1 and 6.5: length, type, ...
    for answer in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", settings):
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"

            def serve(server: socket.socket = server, answer: bytes = answer) -> None:
                connection, _ = server.accept()
                with connection, suppress(ConnectionError):
                    heard.append(connection.recv(24))
                    connection.sendall(answer)
                    while connection.recv(100):  # until it hangs up
                        pass

            thread = threading.Thread(target=serve)
            thread.start()
            if answer == settings:
                ray_cluster._require_answer(address)
            else:
                assert refusal(address).message == f"who answers at {address} is no Ray cluster"
            thread.join()
    assert heard == [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] * 3


def test_a_tunnel_is_refused_as_what_ray_does_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the machine's own address instead of the loopback, for most of a minute."""
    monkeypatch.setattr(ray_cluster, "_own_address", lambda: "127.0.0.2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        with pytest.raises(InputError, match=r"^nobody answers at localhost:.*Ray asks 127.0.0.2 instead"):
            ray_cluster._require_answer(address)


def test_an_address_of_rays_client_is_refused() -> None:
    """Ray 2.60 has no streams of what actors say through its client: each task would fail."""
    with pytest.raises(InputError, match=r"^ray://head:10001 is an address of Ray's client") as refused:
        ray_cluster._require_answer("ray://head:10001")
    assert "HOST:PORT" in refused.value.next_step


def test_what_a_node_lacks_is_said_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for host, begins in (("head", f"on {platform.node()}: there is no "), (platform.node(), "there is no ")):
        place = Place(str(tmp_path), versions=versions(), host=host)
        task = Task("extract", "extract", "0123", ("extract",), place)
        ended = Worker(lambda line: None).perform(task.text)
        assert ended.error.startswith(begins)
        assert ("on every machine" in ended.next_step) == (host == "head"), "it was there where it was typed"
    other = Task("extract", "extract", "0123", ("extract",), Place("/", versions="fsarctl 9.9", host="head"))
    assert Worker(lambda line: None).perform(other.text).error.startswith(f"{platform.node()} has fsarctl ")


def test_what_ray_says_becomes_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own words where there are no better ones; and it may say nothing for ever."""

    class Ray:
        def __init__(self, says: str) -> None:
            self.says = says

        def init(self, **_: object) -> None:
            if not self.says:
                import threading

                threading.Event().wait(10)
            raise RuntimeError(self.says)

    monkeypatch.setattr(ray_cluster, "JOIN_S", 0.2)
    said = {
        "Version mismatch: The cluster was started with:\n  Ray: 2.9": "has other versions than this machine",
        "Could not find any running Ray instance": "no Ray cluster runs on this machine",
        "": "no Ray cluster",
    }
    for says, expected in said.items():
        monkeypatch.setattr(ray_cluster, "_ray", lambda says=says: Ray(says))
        assert expected in refusal("auto").message or "ersion" in says
    monkeypatch.setattr(ray_cluster, "_ray", lambda: Ray("no such thing"))
    assert refusal("").message == "no Ray cluster could be joined on this machine: no such thing"
    assert "other versions" in ray_cluster._refusal("head:1", next(iter(said))).message


def test_who_has_started_a_cluster_lives_as_long_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel kills what a thread has started when that thread ends, if it was asked to, as Ray does."""
    starters: list[threading.Thread] = []
    ray = SimpleNamespace(init=lambda **_: starters.append(threading.current_thread()))
    monkeypatch.setattr(ray_cluster, "_ray", lambda: ray)
    over = threading.Event()
    ray_cluster._join("", 1, over)
    starters[0].join(0.2)
    assert starters[0].is_alive()
    over.set()
    starters[0].join(20)
    assert not starters[0].is_alive()


def test_who_refuses_is_not_asked_twenty_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of HTTP/2 that is no Ray: Ray asked it once a second. One that it starts is waited for."""
    name = "RAY_gcs_server_port_wait_time_s"
    asked: list[str | None] = []
    ray = SimpleNamespace(init=lambda **_: asked.append(os.environ.get(name)))
    monkeypatch.setattr(ray_cluster, "_ray", lambda: ray)
    for said, address in ((None, ""), (None, "auto"), ("60", "auto")):
        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", {name: said} if said else {})
            ray_cluster._join(address, 1, threading.Event())
    assert asked == [None, "3", "60"]


def test_what_a_task_asks_for_is_what_some_node_has() -> None:
    """More would wait for ever."""
    engine = RayEngine(RayConfig(), 0, 2, uses_gpus=True, beside=2)
    engine._total = {"CPU": 12.0, "GPU": 1.0}
    engine._largest = {"CPU": 4.0, "GPU": 1.0, "memory": 3 * GIB}
    assert engine.jobs == 12
    size = engine._size(Need(cores=8, memory_gib=16, gpus=1))
    assert (size.cores, size.gpus, size.memory) == (4.0, 0.5, 3 * GIB)
    assert engine._size(Need()) == type(size)(1.0, 0.0, 2 * GIB)
    engine._config = RayConfig(memory_gib=1, cores=3)
    assert engine._size(Need()) == type(size)(3.0, 0.0, GIB)
    assert RayEngine(RayConfig(), 5, 2, uses_gpus=False).jobs == 5
    engine._uses_gpus = False
    assert engine._size(Need(gpus=1)).gpus == 0


def test_what_another_try_may_mend_is_told_from_what_it_does_not() -> None:
    lost = ray_cluster._of_lost(TASK, "The actor died unexpectedly. Its node was terminated")
    assert lost.lost
    assert "its node was lost" in lost.error
    bare = ray_cluster._of_lost(TASK, "RaySystemError: ModuleNotFoundError: No module named 'fsarctl'")
    assert (bare.exit_code, bare.lost) == (3, False)
    assert bare.next_step.startswith('Install the same on every node: pip install "fsarctl[ray]==')


def test_without_ray_the_pip_command_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "fsarctl.toml").write_text(SHAPES)
    said = type_in(tmp_path, "fsarctl extract --engine ray", expect=3)
    assert "--engine ray needs ray, which is not installed" in said.stderr
    assert 'pip install "fsarctl[ray]"' in said.stderr


class Remote:
    """What Ray calls by ``remote``, with options or without."""

    def __init__(self, called: Callable[..., Any]) -> None:
        self.remote = called

    def options(self, **_: Any) -> "Remote":
        return self


class Actor:
    """One that is begun when it has a core."""

    def __init__(self, *_: Any) -> None:
        self.__ray_ready__ = Remote(lambda: self)
        self.perform = Remote(lambda _: ["done"])


class Promised:
    """As much of Ray as the engine uses, on a cluster that speaks of two cores and has one."""

    exceptions = SimpleNamespace(RayActorError=EOFError, RayTaskError=ArithmeticError)

    def __init__(self) -> None:
        self.core = threading.Semaphore()
        self.begun: list[Actor] = []

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 1.0, "memory": 4.0 * GIB}}] * 2

    def remote(self, _: type) -> Remote:
        return Remote(Actor)

    def wait(self, refs: list[Actor], timeout: float) -> tuple[list[Actor], list[Actor]]:
        return refs, []

    def get(self, ref: Any) -> Any:
        if ref == "done":
            return [{"ended": asdict(Ended(0))}]
        if ref not in self.begun:
            self.core.acquire()
            self.begun.append(ref)
        return None

    def kill(self, actor: Actor) -> None:
        self.begun.remove(actor)
        self.core.release()


def test_who_has_nothing_to_do_gives_up_the_core_that_another_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that died is counted for a while; nothing may wait for its cores for ever."""
    cluster = Promised()
    monkeypatch.setattr(ray_cluster, "_ray", lambda: cluster)
    monkeypatch.setattr(ray_cluster, "_join", lambda *_: None)
    engine = RayEngine(RayConfig(), 0, 2, uses_gpus=False)
    engine.begin(lambda *_: None)
    ended: list[Any] = []

    def work() -> None:
        engine.start([TASK, TASK])
        ended.extend(engine.ended())
        ended.extend(engine.ended())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert [each.exit_code for _, each in ended] == [0, 0]


def test_the_end_of_a_task_is_said_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the next look for what the worker says, which cost each task a tenth of a second."""

    class Quick:
        def perform(self, task: Task, heard: Callable[[Any], None]) -> Ended:
            heard({"note": "begun"})
            time.sleep(0.1)
            return Ended()

    monkeypatch.setattr(ray_cluster, "WorkerProcess", Quick)
    monkeypatch.setattr(ray_cluster, "BATCH_S", 3600.0)
    said: list[Any] = []
    thread = threading.Thread(
        target=lambda: said.extend(ray_cluster._Worker().perform(TASK.text)), daemon=True
    )
    thread.start()
    thread.join(60)
    assert [message for batch in said for message in batch] == [{"note": "begun"}, {"ended": asdict(Ended())}]
