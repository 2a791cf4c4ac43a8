"""`fsarctl predict`: names the action of new clips, and prints the best classes of each."""

import csv
import io
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsarctl.cli.command.options import (
    CORES,
    Always,
    Device,
    Engine,
    Frozen,
    Jobs,
    Json,
    Negatives,
    RayAddress,
    Support,
    TimeLimit,
    TrainedFor,
    Workers,
    one_layout,
)
from fsarctl.cli.command.recognition import (
    clip_path,
    facts_of,
    heading,
    require_negatives,
    require_one_model,
    setup_of,
)
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.check import check_document, print_check
from fsarctl.cli.terminal.confidence import confidence_words
from fsarctl.cli.terminal.console import echo, print_data, print_json, print_table, say, styled
from fsarctl.cli.terminal.files import Kind, begins, require_replaceable
from fsarctl.errors import PartialError, UsageError
from fsarctl.errors.shown import brief
from fsarctl.execution.device import Machine
from fsarctl.progress import counted, first_of
from fsarctl.video.processes import TIME_LIMIT_S

if TYPE_CHECKING:
    from fsarctl.artifacts.command import Option
    from fsarctl.datasets.clip_files import ClipFile
    from fsarctl.execution.job_schedule import Scheduler
    from fsarctl.predict.predictor import ClassScore, Prediction
    from fsarctl.stages.predict import Ready

__all__ = ["predict"]


class PredictionLayout(StrEnum):
    """The values of --format."""

    table = "table"
    csv = "csv"


COLUMNS = ("clip", "rank", "class", "score", "confidence", "video", "text", "failure", "none")
EXTENSION = ".safetensors"
SAVED = Kind(
    "saved support",
    begins(r'\A.{8}\{"__metadata__":\{.{,200}"fsarctl":"\{\\"schema\\": ?\\"fsarctl\.support/'),
    "--save-support",
)
NONE = "none of these"


@command("predict", example="fsarctl predict --support examples/ new.mp4 other.mp4")
def predict(
    session: Session,
    support: Support,
    clips: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[CLIP]...", parser=clip_path, help="Videos, or folders of videos."),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes of each clip to print.")] = 3,
    shots: TrainedFor = None,
    frozen: Frozen = False,
    negatives: Negatives = None,
    always: Always = False,
    save_support: Annotated[
        Path | None,
        typer.Option("--save-support", metavar="FILE.safetensors", help="Keep the support's features."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Name each clip of the support folder from the others.")
    ] = False,
    group: Annotated[
        str,
        typer.Option(
            "--group", metavar="REGEX", help="With --check: what it captures of a name says whose clip it is."
        ),
    ] = "",
    workers: Workers = CORES,
    time_limit: TimeLimit = TIME_LIMIT_S,
    device: Device = "auto",
    engine: Engine = None,
    jobs: Jobs = None,
    ray_address: RayAddress = None,
    layout: Annotated[PredictionLayout, typer.Option("--format", help="How they are printed.")] = (
        PredictionLayout.table
    ),
    as_json: Json = False,
) -> None:
    """Name the action of new clips from examples of each class, every clip by itself."""
    from fsarctl.artifacts.command import Option

    one_layout(layout, as_json)
    # Of several that share the work each has one core.
    told = [Option("--workers", ("1",)), Option("--time-limit", (str(time_limit),)), *Machine(device).options]
    _predict(
        session,
        support,
        clips or [],
        top=top,
        shot=shots,
        frozen=frozen,
        negatives=negatives,
        says_none=not always,
        save=save_support,
        check=check,
        group=group,
        workers=workers,
        time_limit_s=time_limit,
        machine=Machine(device),
        scheduler=session.scheduler(Machine(device), engine, jobs, ray_address, told),
        layout="json" if as_json else layout.value,
    )


def _predict(
    session: Session,
    place: Path,
    paths: Sequence[Path],
    *,
    top: int,
    shot: int | None,
    frozen: bool,
    negatives: Path | None,
    says_none: bool,
    save: Path | None,
    check: bool,
    group: str,
    workers: int,
    time_limit_s: float,
    machine: Machine,
    scheduler: "Scheduler",
    layout: str,
) -> None:
    """Print the ``top`` classes of each clip as table, csv or json.

    Raises:
        UsageError: the words contradict each other.
        PartialError: some clips could not be read; the others were printed.
    """
    _require_sense(place, paths, shot, frozen, save, check, group)
    require_negatives(place, negatives)
    from fsarctl.artifacts.command import Option

    clips = session.findings.clip_files(paths, session.reporter.note)
    if scheduler.engine is not None and clips:
        scheduler.engine.require()  # before weights are loaded
    ready = setup_of(session, machine, workers, time_limit_s).ready(
        place,
        shot=shot,
        frozen=frozen,
        check=check,
        group=group,
        negatives=negatives,
        says_none=says_none,
    )
    if save is not None:
        ready.support.save(save)
        say(f"saved {len(ready.support.clips)} clips of {len(ready.support.labels)} classes: {save}")
    words = [Option("", tuple(map(str, paths))), Option("--support", (str(place),))]
    words += [Option("--shots", (str(shot),))] if shot is not None else []
    words += [Option("--negatives", (str(negatives),))] if negatives else []
    words += [Option(name) for name, given in (("--frozen", frozen), ("--always", not says_none)) if given]
    predictions = _predictions(session, scheduler, ready, clips, words)
    _warn_of_twins(predictions)
    if layout == "json":
        print_json(_document(session, ready, predictions, top))
    elif layout == "csv":
        _print_csv(predictions, top)
    elif predictions:
        _print_table(session, ready, predictions, top)
    if check:
        print_check(ready.check, as_data=layout == "table")
    _say_longer(predictions, [*words[1:], *session.flags])
    failed = [each for each in predictions if each.failure]
    if failed:
        first = first_of([f"{each.clip} ({each.failure})" for each in failed], 1)
        others = len(predictions) - len(failed)
        raise PartialError(
            f"{len(failed)} of {counted(len(predictions), 'clip')} could not be read: {first}",
            next_step=f"Check that a player can show {'it' if len(failed) == 1 else 'them'}."
            + (
                f" {counted(others, 'other')} {'was' if others == 1 else 'were'} classified."
                if others
                else ""
            ),
        )


def _predictions(
    session: Session,
    scheduler: "Scheduler",
    ready: "Ready",
    clips: "Sequence[ClipFile]",
    words: "Sequence[Option]",
) -> "list[Prediction]":
    """One a clip; where others share the work, they are told these ``words``.

    What another try may read is tried again where it was found, not where it has just been tried.
    """
    if not scheduler.shares or not clips:
        return list(ready.predictor.predict(ready.support, clips))
    from fsarctl.artifacts.command import Command
    from fsarctl.predict.blocks import load_predictions
    from fsarctl.stages.predict import unit

    command = Command("predict", (*words, *session.flags))
    [outcome] = scheduler.make([unit(ready, clips, command, session.findings.files)])
    found = load_predictions(outcome.artifact.path)
    if outcome.made:
        return found
    unlucky = [clip for clip, each in zip(clips, found, strict=True) if each.passes]
    anew = iter(ready.predictor.predict(ready.support, unlucky))
    return [next(anew) if each.passes else each for each in found]


def _require_sense(
    place: Path,
    paths: Sequence[Path],
    shot: int | None,
    frozen: bool,
    save: Path | None,
    check: bool,
    group: str,
) -> None:
    if group and not check:
        raise UsageError("--group is for --check", next_step="Add --check, or leave it out.")
    if check and place.is_file():
        raise UsageError(
            f"--check needs the clips, and {place} holds their features alone",
            next_step="Name the folder of the clips: --support FOLDER",
        )
    require_one_model(frozen, shot)
    if not paths and save is None and not check:
        raise UsageError(
            "there is no clip to classify",
            next_step="Name videos or folders of videos. For the examples alone: --check, or"
            " --save-support FILE",
        )
    if save is None:
        return
    if place.is_file():
        raise UsageError(f"{place} is a saved support already", next_step="Leave out --save-support.")
    if save.suffix != EXTENSION:
        raise UsageError(
            f"--save-support {save} does not end in {EXTENSION}", next_step=f"Name it {save.name}{EXTENSION}."
        )
    if not save.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {save.parent} for --save-support", next_step="Make it first.")
    require_replaceable(save, SAVED)


def _warn_of_twins(predictions: "Sequence[Prediction]") -> None:
    """A clip that is its own example says nothing about how good the answers are."""
    twins = [
        f"{each.clip} has the same frames as {each.twin} of the support" for each in predictions if each.twin
    ]
    if twins:
        say(f"warning: {first_of(twins, 1)}. What is said of a support clip is no test")


def _say_longer(predictions: "Sequence[Prediction]", words: "Sequence[Option]") -> None:
    """A long clip is likely to show several actions; what names them one by one is another command, of the
    same ``words``."""
    long = [each for each in predictions if each.longer]
    if long:
        named = first_of([each.clip for each in long], 1)
        from fsarctl.artifacts.command import Command, Option

        command = Command("spot", (Option("", (long[0].clip,)), *words))
        say(f"{named}: {long[0].longer}; where it shows several actions: {command}")


def _document(
    session: Session, ready: "Ready", predictions: "Sequence[Prediction]", top: int
) -> dict[str, Any]:
    return {
        "schema": "fsarctl.predict/1",
        **facts_of(session, ready),
        **({"check": check_document(ready.check)} if ready.check else {}),
        "clips": [
            {
                "clip": each.clip,
                "answer": None if each.is_none or not each.classes else each.classes[0].label,
                "none": each.none,
                "top": [_numbers(scored) for scored in each.classes[:top]],
                "failure": each.failure or None,
                "remarks": list(each.remarks),
                "same_frames_as": each.twin or None,
            }
            for each in predictions
        ],
    }


def _numbers(scored: "ClassScore") -> dict[str, Any]:
    return {
        "class": scored.label,
        "score": scored.score,
        "confidence": scored.confidence,
        "video": scored.video,
        "text": scored.text,
    }


def _print_csv(predictions: "Sequence[Prediction]", top: int) -> None:
    """A line for each clip and rank, with the names of the JSON document; a failed clip has one line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for each in predictions:
        for rank, scored in enumerate(each.classes[:top], start=1):
            writer.writerow({"clip": each.clip, "rank": rank, **_numbers(scored), "none": each.none})
        if each.failure:
            writer.writerow({"clip": each.clip, "failure": each.failure})
    print_data(text.getvalue())


def _print_table(session: Session, ready: "Ready", predictions: "Sequence[Prediction]", top: int) -> None:
    from rich.table import Table

    echo(heading(session, ready))
    table = Table()
    table.add_column("clip", overflow="fold")
    table.add_column("class", overflow="fold")
    table.add_column("confidence", justify="right")
    table.add_column("score", justify="right")
    for each in predictions:
        name = brief(each.clip)
        rows = [
            (brief(scored.label), f"{scored.confidence:.2f}", f"{scored.score:.4f}")
            for scored in each.classes[:top]
        ]
        if each.none is not None:
            rows.insert(0 if each.is_none else len(rows), (NONE, f"{each.none:.2f}", ""))
        for rank, cells in enumerate(rows):
            style = "bold" if rank == 0 else "dim"
            table.add_row(styled("" if rank else name), *(styled(cell, style) for cell in cells))
        if each.failure:
            table.add_row(styled(name), styled(each.failure, "red"), styled("failed", "red"), "")
        table.add_section()
    print_table(table)
    for line in confidence_words(ready.predictor, ready.support).lines:
        echo(line)
