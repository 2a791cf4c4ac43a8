"""describe: three sub-actions for every label, from written files, a person, or a language model.

The artifact is ``descriptions.json``::

    {"labels": {"long jump": {"beginning": ..., "process": ..., "end": ...}}}

with its labels sorted, so that the order of a label list changes nothing. Where each description comes
from is not in it but in the manifest's facts: the same sentences from another source retrain nothing.
A label that is read alone has empty stages. Where prompts call it otherwise there is a "name", too.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsarctl.artifacts.command import Command, Option
from fsarctl.artifacts.unit import JSON, Build, Unit
from fsarctl.config.tables import DescribeConfig
from fsarctl.errors import InputError, PartialError, UsageError
from fsarctl.progress import Reporter, counted, duration, first_of
from fsarctl.text.caption_limit import CaptionLimit
from fsarctl.text.corpus import DESCRIPTIONS, STAGES, SubActions, alone_text, alone_texts
from fsarctl.text.edits import EDITS
from fsarctl.text.llm.costs import Prices
from fsarctl.text.llm.language_model import Described, describe
from fsarctl.text.llm.question import COMPLETION_TOKENS, tokens_about
from fsarctl.text.llm.retries import Patience
from fsarctl.text.sources import Found, Sources, of_one_kind

__all__ = [
    "STAGE",
    "VERSION",
    "Plan",
    "ask",
    "edit_command",
    "failures",
    "labels_asked",
    "plan",
    "prices",
    "sources",
    "tokens",
    "too_long",
    "unit",
]

STAGE = "describe"
VERSION = 2

_SHOWN = 5


def sources(
    config: DescribeConfig, *, records: Path, root: Path, names: Mapping[str, str] | None = None
) -> Sources:
    """Where this stage finds descriptions; ``records`` is the store's folder of records, ``names`` what
    prompts call labels.

    Raises:
        ConfigError: the template is missing or has no {label}, or the server's address is none.
    """
    return Sources(config, root, records / STAGE, names)


def unit(
    labels: Sequence[str],
    config: DescribeConfig,
    *,
    slot: str,
    records: Path,
    root: Path,
    concurrency: int = 4,
    patience: Patience | None = None,
    limit: CaptionLimit | None = None,
    named: Sequence[Option] = (),
    flags: Sequence[Option] = (),
    compared: bool = False,
    alone: bool = False,
    names: Mapping[str, str] | None = None,
) -> Unit:
    """The descriptions of a label list; repeated labels count once.

    ``records`` is the store's folder of records, ``root`` what relative paths of ``config`` are
    relative to; ``concurrency`` is how many labels are asked for at a time. What enters the key is
    the found sentences themselves, or the model, the template and the temperature they are asked with.
    ``limit`` refuses what the text encoder could not read; it changes no sentence and enters no key.
    ``named`` are the options that name a list which the labels are of, and ``flags`` those that a suggested
    command must carry to mean the same project. ``compared``: the labels are classes whose texts compete, so
    that all are described or none is. ``names``: label -> what prompts call it. ``alone``: nothing else is
    read of them, whatever describes them.

    Raises:
        InputError: there is no label; a corpus file is broken; or no file describes some label
            (and ``config.missing`` does not let labels stand for themselves).
        ConfigError: a corpus file or the template is missing, the template has no {label}, or the
            server's address is none.
        UsageError: concurrency is below 1.
    """
    if concurrency < 1:
        raise UsageError(f"concurrency is {concurrency}; it must be 1 or more")
    distinct = _distinct(labels)
    called = {label: names[label] for label in distinct if label in names} if names else {}
    found = sources(config, records=records, root=root, names=called)
    if alone:
        written = {label: Found(text, "label") for label, text in alone_texts(distinct).items()}
    else:
        written = of_one_kind(found.written(distinct)) if compared else found.written(distinct)
    rest = [label for label in distinct if label not in written]
    texts = {
        label: _stages(label, written[label].sub_actions, called) for label in distinct if label in written
    }

    if alone or not found.asks:
        if rest:
            raise _undescribed(rest, named, flags)
        key: dict[str, JSON] = {"source": "corpus", "labels": texts}
    else:
        key = {
            "source": "openai",
            "labels": rest,
            "model": found.server.model,
            "template": found.template,
            "temperature": found.server.temperature,
        }
        if texts:
            key["edited"] = texts
        if of_rest := {label: name for label, name in called.items() if label not in written}:
            key["names"] = of_rest

    def build(build: Build) -> None:
        _note_written(build, written, listed=bool(named))
        described = {label: each.sub_actions for label, each in written.items()}
        if rest:
            answers = ask(
                rest,
                found,
                config,
                concurrency=concurrency,
                patience=patience,
                limit=limit,
                reporter=build.reporter,
            )
            if answers.failed:
                raise failures(answers, len(rest), flags, named)
            build.record("answers", {"found": answers.found, "new": answers.new, **tokens(answers)})
            described |= answers.sub_actions
        _require_readable(described, limit, flags)
        build.record("labels", len(described))
        sources = Counter([*(each.source for each in written.values()), *("openai" for _ in rest)])
        build.record("sources", dict(sources))
        build.record("edited", [label for label, each in written.items() if each.source == "edited"])
        _write(build.folder, {label: _stages(label, described[label], called) for label in distinct})

    return Unit(STAGE, VERSION, slot, Command("run" if alone else "describe"), key, build)


@dataclass(frozen=True)
class Plan:
    """What describing would cost: the prompts that would be sent, and how many descriptions are there."""

    calls: Mapping[str, str]
    """Label to prompt; their number is the number of calls, if none has to be repeated."""
    kept: int
    """Answers that were paid for already, or written descriptions."""
    prompt_tokens: int
    """About so many."""
    completion_tokens: int
    """As many as this model's kept answers took on average; about 60 an answer if there are none."""
    cost: float | None
    """None if no prices are set."""


def plan(
    labels: Sequence[str],
    config: DescribeConfig,
    *,
    records: Path,
    root: Path,
    named: Sequence[Option] = (),
    flags: Sequence[Option] = (),
    names: Mapping[str, str] | None = None,
) -> Plan:
    """What a build of the same ``unit`` would ask; nothing is sent or written.

    Raises:
        InputError, ConfigError: as ``unit`` does.
    """
    distinct = _distinct(labels)
    found = sources(config, records=records, root=root, names=names)
    there = found.all(distinct)
    rest = [label for label in distinct if label not in there]
    if rest and not found.asks:
        raise _undescribed(rest, named, flags)
    calls = found.prompts(rest) if found.asks else {}
    usages = [each.record.usage for each in there.values() if each.record and each.record.usage]
    each = sum(usage["completion_tokens"] for usage in usages) / len(usages) if usages else COMPLETION_TOKENS
    prompt, completion = sum(map(tokens_about, calls.values())), round(each * len(calls))
    return Plan(calls, len(there), prompt, completion, prices(config).cost(prompt, completion))


def labels_asked(unit: Unit) -> Sequence[str]:
    """Those labels of a describe unit that a language model is asked for."""
    labels = unit.config["labels"]
    if unit.config["source"] != "openai" or not isinstance(labels, list):
        return []
    return [str(label) for label in labels]


def ask(
    labels: Sequence[str],
    found: Sources,
    config: DescribeConfig,
    *,
    concurrency: int,
    patience: Patience | None,
    limit: CaptionLimit | None,
    reporter: Reporter,
) -> Described:
    """Answers that were kept, and those that are asked for now.

    Raises:
        ConfigError: the server refuses every label.
        InputError: answers cannot be kept.
    """
    return describe(
        found.prompts(labels),
        found.server,
        found.records,
        concurrency=concurrency,
        patience=patience,
        prices=prices(config),
        problem=limit.problem if limit else lambda label, sub_actions: "",
        reporter=reporter,
    )


def failures(
    answers: Described, labels: int, flags: Sequence[Option] = (), named: Sequence[Option] = ()
) -> PartialError:
    """What a language model did not describe of so many labels, and what to do; ``named``: of a list."""
    reasons = first_of([f"{label!r} ({reason})" for label, reason in sorted(answers.failed.items())], _SHOWN)
    failed, kept = len(answers.failed), len(answers.sub_actions)
    have = "has" if failed == 1 else "have"
    when = f" in {duration(answers.wait_s)}" if answers.wait_s >= 1 else ""
    waiting = Command("describe", (Option("--until-done"), *named, *flags))
    rest = f", in all about {duration(answers.rest_s)}" if answers.rest_s else ""
    wait = f" `{waiting}` waits for that{rest}." if answers.limited else ""
    return PartialError(
        f"{failed} of {counted(labels, 'label')} {have} no description: {reasons}",
        next_step=f"Run again{when}: {counted(kept, 'answer')} {'is' if kept == 1 else 'are'} kept, and only "
        f"what failed is asked.{wait} Or write {_pronoun(failed)}: "
        f"{edit_command(sorted(answers.failed), flags)}",
    )


def edit_command(labels: Sequence[str], flags: Sequence[Option] = ()) -> Command:
    """What lets a person describe these labels (the first few of many); ``flags`` name the project."""
    shown = list(labels[:_SHOWN])
    dashed = any(label.startswith("-") for label in shown)
    return Command("describe", (Option("--edit"), *flags, Option("--" if dashed else "", tuple(shown))))


def tokens(answers: Described) -> dict[str, int]:
    """What was asked now, as the server counts it."""
    return {
        "prompt_tokens": answers.tally.prompt_tokens,
        "completion_tokens": answers.tally.completion_tokens,
    }


def _note_written(build: Build, written: Mapping[str, Found], *, listed: bool) -> None:
    """``listed``: of a label list, also which stand for themselves; of classes each command says it."""
    if labels := [label for label, each in written.items() if each.source == "edited"]:
        build.reporter.note(f"{EDITS} describes {_counted(labels)}")
    labels = [label for label, each in written.items() if each.source == "label"]
    if labels and listed:
        build.reporter.note(f"{_counted(labels)} without a description, used as its own stages")


def _require_readable(
    described: Mapping[str, SubActions], limit: CaptionLimit | None, flags: Sequence[Option]
) -> None:
    """Refuse what the text encoder could read only in part, before anything is trained on it."""
    if limit is None:
        return
    problems = {label: limit.problem(label, text) for label, text in sorted(described.items())}
    long = {label: problem for label, problem in problems.items() if problem}
    if long:
        message, next_step = too_long(long, counted(len(described), "description"), limit, flags)
        raise InputError(message, next_step=next_step)


def too_long(
    problems: Mapping[str, str], of: str, limit: CaptionLimit, flags: Sequence[Option]
) -> tuple[str, str]:
    """What is said of labels among ``of`` with what is too long of their prompts, and what to do."""
    verb = "is" if len(problems) == 1 else "are"
    reasons = first_of([f"{label!r} ({problem})" for label, problem in problems.items()], _SHOWN)
    curable = [label for label in problems if limit.fits(label)]
    steps = []
    if len(curable) < len(problems):
        steps.append(
            "A label too long by itself needs a shorter name in prompts: under [datasets.NAME.names] write"
            f' {_quoted(problems)} = "..."; or a model that reads no text: --set model.score=video.'
        )
    if curable:
        steps.append(f"Shorten {_pronoun(len(curable))} at the source, or by: {edit_command(curable, flags)}")
    return f"{len(problems)} of {of} {verb} too long: {reasons}", " ".join(steps)


def _quoted(labels: Iterable[str]) -> str:
    """The first of them as TOML has it."""
    return json.dumps(next(iter(labels)), ensure_ascii=False)


def _distinct(labels: Sequence[str]) -> list[str]:
    if not labels:
        raise InputError("there is no label to describe", next_step="Name a label list with --labels.")
    return sorted(set(labels))


def _undescribed(labels: Sequence[str], named: Sequence[Option], flags: Sequence[Option]) -> InputError:
    by_label = Command("describe", (*named, *flags, Option("--set", ("describe.missing=label",))))
    first = f"{by_label} (a label stands for its own three stages); better: " if named else ""
    return InputError(
        f"no corpus file describes {_counted(labels)}",
        next_step=f"{first}{edit_command(labels, flags)} (you write {_pronoun(len(labels))}); or a JSON file "
        'in describe.files with {"label": ["beginning.", "process.", "end."]}; or describe.source = "openai" '
        '(a language model); or describe.missing = "label".',
    )


def _pronoun(number: int) -> str:
    return "it" if number == 1 else "them"


def prices(config: DescribeConfig) -> Prices:
    """What the user says that tokens cost."""
    return Prices(config.price_in, config.price_out)


def _stages(label: str, sub_actions: SubActions, names: Mapping[str, str]) -> dict[str, str]:
    """By stage, nothing of a label that is read alone; and what prompts call it, if not by its label."""
    name = {"name": names[label]} if label in names else {}
    if sub_actions == alone_text(label):
        return {**dict.fromkeys(STAGES, ""), **name}
    return {**dict(zip(STAGES, sub_actions, strict=True)), **name}


def _write(folder: Path, described: Mapping[str, Mapping[str, str]]) -> None:
    text = json.dumps({"labels": described}, indent=1, ensure_ascii=False)
    # a label that is no Unicode (a folder's name) is spelled as JSON's own escapes
    (folder / DESCRIPTIONS).write_bytes(text.encode("utf-8", "backslashreplace") + b"\n")


def _counted(labels: Sequence[str]) -> str:
    return f"{counted(len(labels), 'label')}: {first_of([repr(label) for label in labels], _SHOWN)}"
