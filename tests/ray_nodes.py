"""A Ray cluster of several nodes on one machine: a head without cores, and nodes with one each."""

import os
import time
from collections.abc import Callable
from typing import Any

import psutil

from fsarctl.execution.engine import WORKER

__all__ = ["Nodes", "wait_for", "workers_below", "workers_of"]

NODES = 3
WAIT_S = 600.0
"""A busy machine takes its time."""


class Nodes:
    """The cluster, whose nodes can be killed and replaced."""

    def __init__(self, environment: dict[str, str] | None = None, nodes: int = NODES) -> None:
        from ray.cluster_utils import Cluster

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        before = dict(os.environ)
        head: dict[str, Any] = {"num_cpus": 0, "object_store_memory": 100 * 2**20, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        os.environ.update(environment or {})
        try:
            self.nodes = [self._added() for _ in range(nodes)]
        finally:
            os.environ.clear()
            os.environ.update(before)
        self.address = self._cluster.address

    def _added(self) -> Any:
        return self._cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)

    def kill_one_at_work(self) -> None:
        """Kill a node that has a worker, and put another in its place."""
        node = wait_for(lambda: next((each for each in self.nodes if workers_of(each)), None))
        self._cluster.remove_node(node, allow_graceful=False)
        self.nodes.remove(node)
        self.nodes.append(self._added())

    def end(self) -> None:
        self._cluster.shutdown()


def workers_of(node: Any) -> list[psutil.Process]:
    """The workers that are at work on a node."""
    found = []
    for kind in node.all_processes.values():
        for each in kind:
            try:
                found += workers_below(psutil.Process(each.process.pid))
            except psutil.NoSuchProcess:
                continue
    return found


def workers_below(process: psutil.Process) -> list[psutil.Process]:
    found = []
    for each in process.children(recursive=True):
        try:
            if WORKER in each.cmdline():
                found.append(each)
        except psutil.Error:
            continue
    return found


def wait_for(found: Callable[[], Any]) -> Any:
    """What ``found`` gives, as soon as that is something."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if thing := found():
            return thing
        time.sleep(0.05)
    raise TimeoutError("nothing began")
