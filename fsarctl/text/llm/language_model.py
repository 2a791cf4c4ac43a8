"""Descriptions from a language model: what was answered before, and the rest asked for and kept."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from fsarctl.progress import SILENT, Reporter, counted, first_of
from fsarctl.text.corpus import SubActions
from fsarctl.text.llm.answers import Answer
from fsarctl.text.llm.costs import Prices, Tally
from fsarctl.text.llm.records import CorruptRecordError, Records
from fsarctl.text.llm.retries import Patience
from fsarctl.text.llm.server import Server

__all__ = ["Described", "describe"]

_SHOWN = 5


@dataclass
class Described:
    """What became of the labels."""

    sub_actions: dict[str, SubActions] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Label -> reason."""
    found: int = 0
    """Answers that were there before."""
    tally: Tally = field(default_factory=Tally)
    """What was asked now."""
    limited: bool = False
    """Labels failed under the server's rate limit."""
    wait_s: float = 0.0
    """Seconds for which the server takes no more questions, where that is longer than it was waited."""
    rest_s: float | None = None
    """About so long those that failed would take under the server's rate limit; None without one."""

    @property
    def alike(self) -> list[list[str]]:
        """Labels that were given the very same three sentences, together."""
        same: dict[tuple[str, ...], list[str]] = {}
        for label, sentences in sorted(self.sub_actions.items()):
            same.setdefault(tuple(each.casefold() for each in sentences), []).append(label)
        return [labels for labels in same.values() if len(labels) > 1]

    @property
    def new(self) -> int:
        """Labels that were answered now."""
        return len(self.sub_actions) - self.found


def describe(
    prompts: Mapping[str, str],
    server: Server,
    records: Records,
    *,
    concurrency: int = 4,
    patience: Patience | None = None,
    prices: Prices | None = None,
    problem: Callable[[str, SubActions], str] = lambda label, sub_actions: "",
    reporter: Reporter = SILENT,
) -> Described:
    """The sub-actions of each label in ``prompts`` (label to prompt).

    Every answer is in ``records`` before the next thing happens, so that an interrupted run has lost
    only what was under way. ``problem(label, sub_actions)`` says why an answer cannot be used, or
    nothing; an answer that it refuses is asked for again with its words.

    Raises:
        ConfigError: the server refuses every label; what was answered until then is kept.
        InputError: the records cannot be written. Said before anything is paid for.
    """
    described, patience = Described(), patience or Patience()
    with records.held(reporter):
        for label, prompt in prompts.items():
            try:
                kept = records.find(prompt)
            except CorruptRecordError as corrupt:
                aside = records.quarantine(corrupt)
                reporter.note(
                    f"warning: the record of {label!r} is corrupt ({corrupt.reason}); "
                    f"it is now {aside} and the label is asked again"
                )
                continue
            if kept:
                described.sub_actions[label] = kept.sub_actions
        described.found = len(described.sub_actions)
        missing = {label: text for label, text in prompts.items() if label not in described.sub_actions}
        if not missing:
            return described

        try:
            with reporter.task("describe", len(prompts), "label", done=described.found) as advance:

                def answered(label: str, answer: Answer) -> None:
                    records.keep(label, prompts[label], answer)
                    described.sub_actions[label] = answer.sub_actions
                    advance(1, label)

                def gave_up(label: str, reason: str) -> None:
                    described.failed[label] = reason
                    reporter.note(f"failed: {label!r}: {reason}")
                    advance(1, label)

                from fsarctl.text.llm.asking import ask
                from fsarctl.text.llm.rate_limit import RateLimit

                limit = RateLimit(patience, len(missing), lambda: described.new, reporter)
                _finish(
                    ask(
                        server,
                        missing,
                        on_answer=answered,
                        on_failure=gave_up,
                        problem=problem,
                        concurrency=concurrency,
                        patience=patience,
                        memory=records.forms(server.address),
                        tally=described.tally,
                        gate=limit.gate,
                        on_limit=limit.met,
                        on_note=reporter.note,
                    )
                )
                if limit.is_met and described.failed:
                    described.limited = True
                    described.wait_s, described.rest_s = limit.gate.left, limit.rest()
        finally:
            if described.tally.replies or described.failed:
                reporter.note(_summary(described, prices or Prices()))
                for labels in described.alike:
                    reporter.note(f"warning: {_named(labels)} were given the very same description")
    return described


def _summary(described: Described, prices: Prices) -> str:
    there = f"{counted(described.found, 'description')} {'was' if described.found == 1 else 'were'} there"
    new = f"{described.new} {'is' if described.new == 1 else 'are'} new ({described.tally.words(prices)})"
    return f"{there}, {new}, {len(described.failed)} failed"


def _named(labels: Sequence[str]) -> str:
    return f"{len(labels)} labels ({first_of([*map(repr, labels)], _SHOWN)})"


def _finish(asking: Coroutine[None, None, None]) -> None:
    """Run to the end, in a thread of its own where a notebook's event loop is running already."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        in_notebook = False
    else:
        in_notebook = True
    if not in_notebook:
        asyncio.run(asking)
        return
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, asking).result()
