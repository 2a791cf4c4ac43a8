"""``fsarctl data``: what the datasets of a project hold, and whether it is enough."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import CORES, Json, Shots, TimeLimit, Workers
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import (
    named,
    print_json,
    print_line,
    print_paragraph,
    print_table,
    say,
    styled,
)
from fsarctl.errors import ConfigError, FsarctlError, InputError
from fsarctl.progress import counted, first_of
from fsarctl.video.processes import TIME_LIMIT_S

if TYPE_CHECKING:
    from rich.table import Table

    from fsarctl.artifacts.command import Option
    from fsarctl.datasets.checking import DatasetCheck
    from fsarctl.datasets.episode_size import EpisodeSize, SmallClass
    from fsarctl.datasets.project import ProjectData
    from fsarctl.stages.plan import Pipeline
    from fsarctl.text.class_texts import TextCheck

__all__ = ["check", "ls"]

NAMED, SUCH_AS = 5, 2
ALL = " (--json lists all)"
UNREADABLE, REMARKED = "unreadable, since", "readable, but"


@command("ls", example="fsarctl data ls")
def ls(session: Session, as_json: Json = False) -> None:
    """The datasets of the project: kind, and classes and clips of each split."""
    list_datasets(session, as_json=as_json)


@command("check", example="fsarctl data check k100 --shots 1 5")
def check(
    session: Session,
    name: Annotated[str | None, typer.Argument(help="A dataset of fsarctl.toml; default: all.")] = None,
    shots: Shots = None,
    opens: Annotated[bool, typer.Option("--open", help="Decode the first frame of every video.")] = False,
    decord: Annotated[
        bool,
        typer.Option(
            "--decord",
            help="Compare what extract keeps with decord's frames, as most scripts have them.",
        ),
    ] = False,
    workers: Workers = CORES,
    time_limit: TimeLimit = TIME_LIMIT_S,
    as_json: Json = False,
) -> None:
    """What is missing, unreadable, there twice, or too little for the episodes of train and eval."""
    check_datasets(
        session,
        name,
        shots,
        opens=opens,
        decord=decord,
        workers=workers,
        time_limit_s=time_limit,
        as_json=as_json,
    )


def list_datasets(session: Session, *, as_json: bool) -> None:
    """Every dataset of the project: kind, and classes and clips of each split."""
    from fsarctl.datasets.video_tree import left_out_words

    data = session.pipeline(note=_nothing).data
    rows: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    for name, config in session.settings.config.datasets.items():
        row: dict[str, Any] = {"name": name, "kind": config.kind, "root": config.root, "error": None}
        try:
            dataset = data.dataset(name)
            row["left_out"] = [asdict(each) for each in dataset.left_out]
            left_out[name] = left_out_words(dataset.left_out)
            row["splits"] = [
                {"split": split, "classes": len(dataset.labels(split)), "clips": sum(counts.values())}
                for split, counts in dataset.found.items()
            ]
        except FsarctlError as error:
            row |= {"splits": [], "left_out": [], "error": error.message}
        rows.append(row)
    if as_json:
        print_json({"schema": "fsarctl.data/1", "datasets": rows})
        return
    table = _table("dataset", "kind", "split", "+classes", "+clips")
    for row in rows:
        for number, split in enumerate(row["splits"]):
            first = (row["name"], row["kind"]) if number == 0 else ("", "")
            _row(table, *first, split["split"], f"{split['classes']:,}", f"{split['clips']:,}")
        if row["error"]:
            _row(table, row["name"], row["kind"])
    print_table(table)
    for row in rows:
        if row["error"]:
            say(row["error"])
        elif words := left_out[row["name"]]:
            say(f"{row['name']}: {words}")


def check_datasets(
    session: Session,
    name: str | None,
    shots: list[int] | None,
    *,
    opens: bool,
    decord: bool,
    workers: int,
    time_limit_s: float,
    as_json: bool,
) -> None:
    """Check one dataset, or all, against the episodes that the settings ask for.

    Raises:
        InputError: a dataset cannot be read, or its classes are too few or too small; everything is
            printed before.
    """
    from fsarctl.methods.weights import look_for_weights

    names = [name] if name else list(session.settings.config.datasets)
    checks: dict[str, DatasetCheck] = {}
    texts: dict[str, dict[str, TextCheck]] = {}
    refusals: list[tuple[str, str]] = []
    undescribed: list[tuple[str, str]] = []
    warnings: list[str] = []
    unasked = 0
    for each in names:
        try:
            pipeline, episodes = _asked(session, each, shots, named=each == name)
            data = pipeline.data
            checks[each] = _check(session, data, each, episodes, opens, decord, workers, time_limit_s)
            texts[each] = {
                split.split: pipeline.texts.check(each, split.split) for split in checks[each].splits
            }
            refusals += _too_long(pipeline, each, texts[each], episodes, session.flags)
            undescribed += _undescribed(session, pipeline, each, episodes)
            if session.settings.config.eval.split in episodes:
                with suppress(ConfigError):  # nobody said what is evaluated
                    warnings += pipeline.reference_warnings()
            unasked += not episodes
        except InputError as error:
            refusals.append((error.message, error.next_step))
    refusals += [refusal for check in checks.values() for split in check.splits for refusal in split.refusals]
    refusals += undescribed
    weights = look_for_weights(session.settings.config.model, session.settings.root)
    session.warn([*weights, *warnings])
    if as_json:
        print_json(_document(session, checks, texts, refusals, weights, warnings))
    elif checks:
        _print(checks, texts, refusals)
    if refusals:
        messages = [message for message, _ in refusals]
        raise InputError(first_of(messages, 1, ", see above"), next_step=refusals[0][1])
    if unasked == len(names):
        say("only counted: neither train.dataset nor eval.dataset is set, so no episodes are asked for")
    else:
        say("enough for the episodes that train and eval ask for")


def _asked(
    session: Session, name: str, shots: list[int] | None, *, named: bool
) -> tuple["Pipeline", dict[str, list["EpisodeSize"]]]:
    """The episodes that are made of a dataset; one that is named is checked like `eval --dataset` would."""
    pipeline = session.pipeline(note=_nothing)
    episodes = pipeline.data.asked_of(name, shots)
    if not episodes and named:
        pipeline = session.pipeline(dataset=name, note=_nothing)
        episodes = pipeline.data.asked_of(name, shots)
    return pipeline, episodes


def _too_long(
    pipeline: "Pipeline",
    name: str,
    texts: Mapping[str, "TextCheck"],
    asked: Collection[str],
    flags: "Sequence[Option]",
) -> list[tuple[str, str]]:
    """What describing would refuse of the splits that are asked for."""
    from fsarctl.stages.describe import too_long

    limit = pipeline.caption_limit
    return [
        too_long(dict(text.too_long), f"the texts of {name}/{split}", limit, flags)
        for split, text in texts.items()
        if limit and text.too_long and (split in asked or not asked)
    ]


def _undescribed(
    session: Session, pipeline: "Pipeline", name: str, asked: Collection[str]
) -> list[tuple[str, str]]:
    """What describing would refuse of the splits that are asked for, as nobody is asked for descriptions."""
    refused = []
    needed = session.settings.config.describe.source == "corpus" and pipeline.texts.of_descriptions
    for split in asked if needed else ():
        try:
            pipeline.describe_calls(pipeline.data.require_labels(name, split))
        except InputError as error:
            refused.append((f"{name}/{split}: {error.message}", error.next_step))
    return refused


def _check(
    session: Session,
    data: "ProjectData",
    name: str,
    episodes: dict[str, list["EpisodeSize"]],
    opens: bool,
    decord: bool,
    workers: int,
    time_limit_s: float,
) -> "DatasetCheck":
    from fsarctl.datasets.checking import Opened, check_dataset, open_all
    from fsarctl.video.frame_folders.images import frames_of

    dataset = data.dataset(name)
    clips = [clip for split in dataset.clips.values() for clip in split]
    opened = Opened({})
    if (opens or decord) and clips:
        opened = open_all(
            clips,
            workers=workers,
            time_limit_s=time_limit_s,
            reporter=session.reporter,
            against_decord=session.settings.config.extract.frames if decord else 0,
        )
    return check_dataset(name, dataset, episodes, partial(session.store.sha256, members=frames_of), opened)


def _document(
    session: Session,
    checks: dict[str, "DatasetCheck"],
    texts: Mapping[str, Mapping[str, "TextCheck"]],
    refusals: list[tuple[str, str]],
    weights: Sequence[str],
    warnings: Sequence[str],
) -> dict[str, Any]:
    datasets = []
    for name, check in checks.items():
        config = session.settings.dataset(name)
        content = asdict(check)
        for split in content["splits"]:
            split["smallest"] = split["smallest"] and dict(
                zip(("label", "clips"), split["smallest"], strict=True)
            )
            del split["refusals"]
            text = texts[name][split["split"]]
            split["undescribed"] = list(text.undescribed)
            split["foreign"] = text.foreign
            split["too_long"] = [{"label": label, "reason": reason} for label, reason in text.too_long]
        for name_of_groups, groups in (("duplicates", check.duplicates), ("copies", check.copies)):
            content[name_of_groups] = [
                [{"name": clip.name, "label": clip.label, "path": clip.file} for clip in group]
                for group in groups
            ]
        datasets.append({"name": name, "kind": config.kind, "root": config.root, **content})
    errors = [{"message": message, "next_step": step} for message, step in refusals]
    return {
        "schema": "fsarctl.data-check/1",
        "ready": not errors,
        "errors": errors,
        "weights": list(weights),
        "warnings": list(warnings),
        "datasets": datasets,
    }


def _print(
    checks: dict[str, "DatasetCheck"],
    texts: Mapping[str, Mapping[str, "TextCheck"]],
    refusals: list[tuple[str, str]],
) -> None:
    from fsarctl.video.container.first_bytes import NO_VIDEO

    columns = ("dataset", "split", "+classes", "+expected", "+found", "+missing", "+unreadable")
    table = _table(*columns, "smallest class")
    for name, check in checks.items():
        for number, split in enumerate(check.splits):
            counts = (split.classes, split.expected, split.found, len(split.missing), len(split.unreadable))
            smallest = f"{split.smallest[1]:,}  {split.smallest[0]}" if split.smallest else "none"
            _row(table, "" if number else name, split.split, *(f"{count:,}" for count in counts), smallest)
    print_table(table)
    for heading, said in _said_of_clips(checks).items():
        table = _table("+clips", heading, "such as")
        for (number, words), names in said:
            short = words.replace(f"{NO_VIDEO}, but", "it is no video, but", 1)
            _row(table, f"{number:,}", short, first_of(names, SUCH_AS))
        if said:
            print_line(styled(""))
            print_table(table)
    for name, check in checks.items():
        for line in _findings(check):
            print_paragraph(styled(f"{name}{line}"))
        for each in texts[name].values():
            for text in filter(None, (each.remark, each.foreign)):
                print_paragraph(styled(text))
    if len(refusals) > 1:  # a single one is the error at the end
        for message, _ in refusals:
            print_paragraph(styled(message, "red"))


def _said_of_clips(checks: dict[str, "DatasetCheck"]) -> dict[str, list[tuple[tuple[int, str], list[str]]]]:
    """Heading -> what is said of clips: how many it is said of, what it is of the first, and who they are.

    What differs in numbers alone, such as how much is missing, is said of the first of them.
    """
    found: dict[str, dict[str, list[tuple[str, str]]]] = {UNREADABLE: {}, REMARKED: {}}
    for name, check in checks.items():
        for split in check.splits:
            where = f"{name}/{split.split}: " if len(checks) > 1 or len(check.splits) > 1 else ""
            said = [(UNREADABLE, each.name, each.reason) for each in split.unreadable]
            said += [(REMARKED, each.name, each.remark) for each in split.remarked]
            for heading, clip, words in said:
                found[heading].setdefault(re.sub(r"\d[\d.]*", "0", words), []).append((where + clip, words))
    return {
        heading: sorted(
            (((len(some), some[0][1]), [clip for clip, _ in some]) for some in kinds.values()),
            key=lambda each: (-each[0][0], each[0][1]),
        )
        for heading, kinds in found.items()
    }


def _findings(check: "DatasetCheck") -> Iterator[str]:
    from fsarctl.datasets.video_tree import left_out_words, passed_over_words

    for split in check.splits:
        if split.missing:
            yield f"/{split.split}: missing: {_some(split.missing)}"
        if split.empty_classes:
            yield f"/{split.split}: classes without any video: {', '.join(split.empty_classes)}"
        if split.small_classes:
            shown = [_too_small(each) for each in split.small_classes]
            yield f"/{split.split}: classes too small: {_some(shown)}"
        if split.groups:
            yield f"/{split.split}: groups of a class: {_groups(split.groups)}"
    if check.duplicates:
        shown = [_joined([clip.name for clip in group]) for group in check.duplicates]
        yield f": the same content in several classes: {_some(shown)}"
    if check.copies:
        shown = [_joined([clip.name for clip in group]) for group in check.copies]
        yield f": the same content several times in a class, as query and example at once: {_some(shown)}"
    if check.other_in_decord:
        shown = [f"{each.name} ({each.decord})" for each in check.other_in_decord]
        yield f": {len(shown):,} of the clips are others in decord: {_some(shown)}"
    elif check.other_in_decord is not None:
        yield ": decord gives the same frames of every clip that can be read"
    if check.passed_over:
        yield f": {passed_over_words(check.passed_over, NAMED, ALL)}"
    if check.left_out:
        yield f": {left_out_words(check.left_out)}"
    for remark in check.remarks:
        yield f": {remark}"


def _too_small(found: "SmallClass") -> str:
    if found.what == "clips":
        return f"{found.label} ({found.has} of {found.needs})"
    return f"{found.label} (its {counted(found.has, 'group')} cannot be parted)"


def _groups(counts: Mapping[str, int]) -> str:
    """How many groups each class has; in a few words where all have as many."""
    if len(set(counts.values())) == 1 and len(counts) > 1:
        return f"{next(iter(counts.values()))} in each of {len(counts)}"
    return _some([f"{label} {count}" for label, count in sorted(counts.items(), key=lambda each: each[1])])


def _joined(names: Sequence[str]) -> str:
    return first_of(names, NAMED, between=" = ")


def _some(items: Sequence[str]) -> str:
    return first_of(items, NAMED, ALL)


def _table(*columns: str) -> "Table":
    """A table of these columns; those that begin with + hold numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.lstrip("+"), justify="right" if column.startswith("+") else "left")
    return table


def _row(table: "Table", *cells: str) -> None:

    table.add_row(*map(named, cells))


def _nothing(_message: str) -> None: ...
