"""Clips that wait are answered in one go, each with its own answer."""

import asyncio
import threading
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="pip install 'fsarctl[serve]'")

from fsarctl.predict.predictor import Prediction
from fsarctl.serving.batches import Batches
from fsarctl.video.processes.decoding_pool import Failure


class Slow:
    """Answers with the clips' names, once it may; "bad" is a fault."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.asked: list[list[str]] = []

    def answer(self, clips: Any) -> list[Prediction]:
        self.may.wait(60)
        self.asked.append([name for name, _ in clips])
        if any(name == "bad" for name, _ in clips):
            raise ValueError("a bad clip")
        return [Prediction(name, ()) for name, _ in clips]


def test_what_waits_is_answered_together_and_a_fault_is_its_own() -> None:
    async def ask() -> None:
        one, other, batches = Slow(), Slow(), Batches(most=4)
        names = ["0", "1", "bad", "3", "4", "5"]
        asked: list[Any] = [
            asyncio.create_task(batches.answer(one, (name, Failure(""))))
            for name in names  # type: ignore[arg-type]
        ]
        asked.append(asyncio.create_task(batches.answer(other, ("6", Failure("")))))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        gone = asyncio.create_task(batches.answer(one, ("gone", Failure(""))))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        gone.cancel()
        one.may.set()
        other.may.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        batches.close()
        assert [getattr(each, "clip", each.__class__) for each in answers] == [
            *("0", "1", ValueError, "3", "4", "5", "6")
        ]
        assert one.asked == [["0", "1", "bad", "3"], ["0"], ["1"], ["bad"], ["3"], ["4", "5"]]
        assert other.asked == [["6"]]

    asyncio.run(ask())
