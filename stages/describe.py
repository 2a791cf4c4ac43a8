"""describe: three sub-actions for every label, from written files or from a language model.

The artifact is ``descriptions.json``::

    {"labels": {"long jump": {"beginning": ..., "process": ..., "end": ..., "source": "corpus"}}}

with its labels sorted, so that the order of a label list changes nothing. ``source`` is corpus,
openai, or label where the label stands for its own stages.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fsarctl.artifacts.unit import JSON, Build, Unit
from fsarctl.config import DescribeConfig
from fsarctl.data.corpus import DESCRIPTIONS, STAGES, SubActions, load_corpus
from fsarctl.describing.records import CorruptRecordError, Records
from fsarctl.describing.server import Answer, Patience, Server, ask
from fsarctl.errors import ConfigError, InputError, PartialError, UsageError

__all__ = ["STAGE", "VERSION", "Plan", "plan", "unit"]

STAGE = "describe"
VERSION = 1

_SHOWN = 5


def unit(
    labels: Sequence[str],
    config: DescribeConfig,
    *,
    slot: str,
    records: Path,
    root: Path,
    command: str = "fsarctl describe",
    concurrency: int = 4,
    patience: Patience | None = None,
) -> Unit:
    """The descriptions of a label list; repeated labels count once.

    ``records`` is the store's folder of records, ``root`` what relative paths of ``config`` are
    relative to; ``concurrency`` is how many labels are asked for at a time. What enters the key is
    the found sentences themselves, or the model, the template and the temperature they are asked with.

    Raises:
        InputError: there is no label; a corpus file is broken; or no file describes some label
            (and ``config.missing`` does not let labels stand for themselves).
        ConfigError: a corpus file or the template is missing, the template has no {label}, or the
            server's address is none.
        UsageError: concurrency is below 1.
    """
    if concurrency < 1:
        raise UsageError(f"concurrency is {concurrency}; it must be 1 or more")
    names = _distinct(labels)
    if config.source == "corpus":
        described = _from_corpus(names, config, root)

        def copy(build: Build) -> None:
            themselves = [label for label, stages in described.items() if stages["source"] == "label"]
            if themselves:
                build.reporter.note(f"{_counted(themselves)} without a description, used as its own stages")
            build.record("labels", len(described))
            _write(build.folder, described)

        return Unit(STAGE, VERSION, slot, command, {"source": "corpus", "labels": described}, copy)

    template = _template(config, root)
    server = Server(config.base_url, config.model, float(config.temperature))
    answers = _records(config, records)
    prompts = {label: _prompt(template, label) for label in names}
    key: dict[str, JSON] = {
        "source": "openai",
        "labels": names,
        "model": server.model,
        "template": template,
        "temperature": server.temperature,
    }
    return Unit(
        STAGE,
        VERSION,
        slot,
        command,
        key,
        lambda build: _ask(build, prompts, server, answers, concurrency, patience or Patience()),
    )


@dataclass(frozen=True)
class Plan:
    """What describing would cost: the prompts that would be sent, and how many answers are there."""

    calls: Mapping[str, str]
    """Label to prompt; their number is the number of calls, if none has to be repeated."""
    kept: int


def plan(labels: Sequence[str], config: DescribeConfig, *, records: Path, root: Path) -> Plan:
    """What a build of the same ``unit`` would ask; nothing is sent or written.

    Raises:
        InputError, ConfigError: as ``unit`` does.
    """
    names = _distinct(labels)
    if config.source == "corpus":
        return Plan({}, len(_from_corpus(names, config, root)))
    template = _template(config, root)
    answers = _records(config, records)
    calls = {}
    for label in names:
        prompt = _prompt(template, label)
        try:
            if answers.find(prompt):
                continue
        except CorruptRecordError:
            pass
        calls[label] = prompt
    return Plan(calls, len(names) - len(calls))


def _distinct(labels: Sequence[str]) -> list[str]:
    if not labels:
        raise InputError("there is no label to describe", next_step="Name a label list with --labels.")
    return sorted(set(labels))


def _from_corpus(names: list[str], config: DescribeConfig, root: Path) -> dict[str, dict[str, str]]:
    found = load_corpus([root / file for file in config.files]).find(names)
    missing = [label for label in names if label not in found]
    if missing and config.missing == "error":
        raise InputError(
            f"no corpus file describes {_counted(missing)}",
            next_step='Write {"label": ["beginning.", "process.", "end."]} into a JSON file and name it in '
            'describe.files; or set describe.source = "openai"; or describe.missing = "label".',
        )
    return {
        label: _stages(found[label], "corpus") if label in found else _stages((label,) * 3, "label")
        for label in names
    }


def _stages(sub_actions: SubActions, source: str) -> dict[str, str]:
    return {**dict(zip(STAGES, sub_actions, strict=True)), "source": source}


def _template(config: DescribeConfig, root: Path) -> str:
    if not config.template:
        from importlib import resources

        return (resources.files("prompts") / "sub_actions.txt").read_text("utf-8")
    try:
        text = (root / config.template).read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"describe.template names {root / config.template}, which cannot be read: {reason}",
            next_step="Correct describe.template, or leave it empty for the shipped one.",
        ) from None
    if "{label}" not in text:
        raise ConfigError(
            f"the prompt template {root / config.template} has no {{label}}",
            next_step="Write {label} where the action label shall stand.",
        )
    return text.replace("\r\n", "\n")


def _prompt(template: str, label: str) -> str:
    return template.strip().replace("{label}", label)


def _records(config: DescribeConfig, records: Path) -> Records:
    return Records(records / STAGE, config.model, config.temperature)


def _ask(
    build: Build,
    prompts: Mapping[str, str],
    server: Server,
    records: Records,
    concurrency: int,
    patience: Patience,
) -> None:
    """Find what was answered before, ask for the rest, and write the artifact if nothing is missing.

    Raises:
        PartialError: some labels failed; their reasons are named, and every answer is kept.
        ConfigError: the server refuses every label.
    """
    described: dict[str, SubActions] = {}
    failed: dict[str, str] = {}
    tokens = {"prompt_tokens": 0, "completion_tokens": 0}

    with records.held(build.reporter):
        for label, prompt in prompts.items():
            try:
                kept = records.find(prompt)
            except CorruptRecordError as corrupt:
                aside = records.quarantine(corrupt)
                build.reporter.note(
                    f"warning: the record of {label!r} is corrupt ({corrupt.reason}); "
                    f"it is now {aside} and the label is asked again"
                )
                continue
            if kept:
                described[label] = kept
        found = len(described)
        missing = {label: prompt for label, prompt in prompts.items() if label not in described}

        with build.reporter.task("describe", len(prompts), "label", done=found) as advance:

            def answered(label: str, answer: Answer) -> None:
                records.keep(label, prompts[label], answer)
                described[label] = answer.sub_actions
                for count in tokens:
                    tokens[count] += answer.usage[count]
                advance(1, label)

            def gave_up(label: str, reason: str) -> None:
                failed[label] = reason
                build.reporter.note(f"failed: {label!r}: {reason}")
                advance(1, label)

            if missing:
                import asyncio

                asyncio.run(
                    ask(
                        server,
                        missing,
                        on_answer=answered,
                        on_failure=gave_up,
                        concurrency=concurrency,
                        patience=patience,
                    )
                )

    build.reporter.note(
        f"{found} descriptions were there, {len(described) - found} were asked for "
        f"({tokens['prompt_tokens']} + {tokens['completion_tokens']} tokens), {len(failed)} failed"
    )
    if failed:
        reasons = _shown([f"{label!r} ({reason})" for label, reason in sorted(failed.items())])
        raise PartialError(
            f"{len(failed)} of {len(prompts)} labels have no description: {reasons}",
            next_step=f"Run again: {len(described)} answers are kept, and only the failed labels are asked.",
        )
    build.record("labels", len(described))
    build.record("answers", {"found": found, "asked": len(described) - found, **tokens})
    _write(build.folder, {label: _stages(described[label], "openai") for label in prompts})


def _write(folder: Path, described: Mapping[str, Mapping[str, str]]) -> None:
    text = json.dumps({"labels": described}, indent=1, ensure_ascii=False)
    (folder / DESCRIPTIONS).write_bytes(text.encode() + b"\n")


def _counted(labels: Sequence[str]) -> str:
    plural = "" if len(labels) == 1 else "s"
    return f"{len(labels)} label{plural}: {_shown([repr(label) for label in labels])}"


def _shown(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
