"""How long the rest of a sweep may take, by what its like took before."""

from types import SimpleNamespace
from typing import Any

import pytest

from fsarctl.cli.terminal.sweeps import _seconds_left


def evaluation(method: str, episodes: int, seconds: float = 0.0) -> Any:
    """A unit, and the manifest of one that took so long."""
    config = {"model": {"method": method, "backbone": "tiny"}, "episodes": episodes}
    return SimpleNamespace(stage="evaluate", config=config, provenance={"seconds": seconds})


def test_a_method_is_estimated_by_itself_alone() -> None:
    made = [evaluation("fast", 100, 10.0), evaluation("slow", 100, 200.0)]
    store: Any = SimpleNamespace(artifacts=lambda: [SimpleNamespace(manifest=each) for each in made])
    # a tenth of a second an episode, or two
    fast, slow = evaluation("fast", 50), evaluation("slow", 50)
    assert _seconds_left(store, [fast]) == pytest.approx(5)
    assert _seconds_left(store, [slow]) == pytest.approx(100)
    assert _seconds_left(store, [fast, slow]) == pytest.approx(105)
    assert _seconds_left(store, [fast, evaluation("never tried", 50)]) is None
