"""`fsarctl show`: what the model sees of one clip."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsarctl.cli.command.options import Dataset, Json
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import echo, print_json, say
from fsarctl.cli.terminal.files import Kind, begins, open_file, require_writable, writing
from fsarctl.errors import FsarctlError, UpstreamError, UsageError

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

    from fsarctl.frames.clip_view import ClipView
    from fsarctl.report.contact_sheet import Stage
    from fsarctl.stages.plan import Pipeline

__all__ = ["frames_taken", "show"]

MADE_BY = "fsarctl"
SHEET = Kind("contact sheet", begins(rf"\A\x89PNG.*tEXtSoftware\0{MADE_BY}"))


@command("show", example="fsarctl show clips/waving/03.mp4 --open")
def show(
    session: Session,
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A clip's name, or a part of it; or a file.")],
    dataset: Dataset = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="The PNG to write; default: named after the clip.")
    ] = None,
    opens: Annotated[bool, typer.Option("--open", help="Open it when it is written.")] = False,
    as_json: Json = False,
) -> None:
    """Show what the model sees of a clip: a contact sheet with the crop it reads and the stages' frames."""
    _show(session, clip, dataset, output=output, opens=opens, as_json=as_json)


def _show(
    session: Session, clip: str, dataset: str | None, *, output: Path | None, opens: bool, as_json: bool
) -> None:
    """Write a contact sheet of a clip of the project, or of a video file, and print where it is.

    Raises:
        InputError: there is no such clip, or it cannot be decoded, or the sheet cannot be written.
        UpstreamError: the datasets' clips are not extracted.
        UsageError: ``output`` is named like something else than a PNG.
    """
    from fsarctl.models.backbone_catalogue import image_side
    from fsarctl.report.contact_sheet import contact_sheet
    from fsarctl.report.letters import missing_letters

    if output is not None and output.suffix.lower() != ".png":
        raise UsageError(
            f"the sheet is a PNG, and {output.name!r} is not named like one",
            next_step=f"Write it with --output {shlex.quote(str(output.with_suffix('.png')))}",
        )
    if output is not None:
        require_writable(output, SHEET)
    view, source = _find(session, clip, dataset)
    stages = _stages(session, view, dataset)
    stored, reads = view.frames.shape[1], image_side(session.settings.config.model.backbone)
    taken = f"{frames_taken(view.indices, view.frame_count)}; read by {view.decoder}"
    cropped = f"stored {stored} x {stored}, of which the model reads the {reads} x {reads} inside the line"
    sheet = contact_sheet(
        view.frames,
        [f"frame {index}" for index in view.indices],
        stages,
        title=view.label or view.name,
        subtitle=[
            f"{source}: {view.name}" if source else str(clip),
            "; ".join((taken, cropped, *view.problems)),
        ],
        crop=reads,
    )
    said = "".join([view.label, view.name, *(each.sentence for each in stages)])
    if missing := missing_letters(said):
        say(missing)
    plain = re.sub(r"[^\w.-]+", "-", view.name).strip("-.")[-100:]
    path = output or Path(f"{plain}.png")
    with writing(path, SHEET) as partial:
        sheet.save(partial, format="PNG", optimize=True, pnginfo=_signed())
    if as_json:
        print_json(
            {
                "schema": "fsarctl.show/1",
                "clip": view.name,
                "label": view.label or None,
                "source": source or None,
                "decoder": view.decoder,
                "frame_count": view.frame_count,
                "indices": list(view.indices),
                "problems": list(view.problems),
                "stored": stored,
                "read": reads,
                # The frames of a stage, counted from 0 among those taken, the last one included.
                "stages": [
                    {"stage": each.name, "first": each.frames.start, "last": each.frames.stop - 1}
                    for each in stages
                ],
                "path": str(path),
            }
        )
    else:
        echo(str(path))
    if opens:
        open_file(path)


def _signed() -> "PngInfo":
    """What a sheet is known by."""
    from PIL.PngImagePlugin import PngInfo

    words = PngInfo()
    words.add_text("Software", MADE_BY)
    return words


def frames_taken(indices: Sequence[int], count: int) -> str:
    """Which frames were taken of a clip of ``count``; a short one gives some of them several times."""
    different = len(set(indices))
    if count == 1:
        return "its only frame" + (f", {len(indices)} times" if len(indices) > 1 else "")
    if different == len(indices):
        return f"{different} of its {count:,} frames, by number"
    return f"{len(indices)} frames, by number, from the {count:,} that it has, so some stand several times"


def _find(session: Session, clip: str, dataset: str | None) -> "tuple[ClipView, str]":
    """The clip, and the dataset and split that it is of ("" for a file)."""
    from fsarctl.frames.clip_view import choose_name, clip_names, view_file, view_stored
    from fsarctl.models.backbone_catalogue import stored_side
    from fsarctl.stages.slots import Slot

    config = session.settings.config
    if dataset is None and (Path(clip).is_file() or _is_folder_of_frames(Path(clip))):
        size = config.extract.size or stored_side(config.model.backbone)
        return view_file(Path(clip), config.extract.frames, size, config.extract.resize), ""
    places: dict[str, tuple[str, Path]] = {}
    undone: dict[str, str] = {}
    names = _datasets(session, dataset)
    for name in names:
        for unit in _pipeline(session, name).extract():
            source, artifact = Slot.read(unit.slot).of, session.store.find(unit)
            if unit.stage == "extract" and artifact is not None:
                places |= dict.fromkeys(clip_names(artifact.path), (source, artifact.path))
            elif unit.stage == "extract":
                undone[source] = str(unit.command)
    if undone and not any(clip.casefold() in name.casefold() for name in places):
        commands = " && ".join(dict.fromkeys(undone.values()))
        raise UpstreamError(
            f"there is no file {clip!r}, and the clips of {', '.join(undone)} are not extracted",
            next_step=f"Run: {commands}",
        )
    chosen = choose_name(clip, list(places), " and ".join(names))
    source, folder = places[chosen]
    return view_stored(folder, chosen), source


def _is_folder_of_frames(path: Path) -> bool:
    from fsarctl.video.frame_folders.images import frames_of

    return path.is_dir() and bool(frames_of(path))


def _pipeline(session: Session, dataset: str | None) -> "Pipeline":
    """Without remarks on the datasets: they are not what is asked."""
    return session.pipeline(dataset=dataset, note=lambda message: None)


def _datasets(session: Session, dataset: str | None) -> list[str]:
    if dataset is not None:
        return [dataset]
    pipeline = _pipeline(session, None)
    return list(dict.fromkeys([pipeline.novel, pipeline.base]))


def _stages(session: Session, view: "ClipView", dataset: str | None) -> "list[Stage]":
    from fsarctl.models.segments import stage_frames
    from fsarctl.report.contact_sheet import Stage
    from fsarctl.text.corpus import STAGES

    spans = stage_frames(session.settings.config.model, len(view.frames))
    names = STAGES if len(spans) == len(STAGES) else ("the whole clip",)
    sentences = _sentences(session, view.label, dataset) if len(names) == len(STAGES) else ()
    return [
        Stage(name, span, sentences[number] if sentences else "")
        for number, (name, span) in enumerate(zip(names, spans, strict=True))
    ]


def _sentences(session: Session, label: str, dataset: str | None) -> tuple[str, ...]:
    """The label's sub-actions, where they have been described."""
    from fsarctl.text.corpus import load_descriptions

    if label:
        for name in _datasets(session, dataset):
            try:
                units = _pipeline(session, name).describe()
            except FsarctlError:  # some label has no description, which is not what is asked here
                continue
            for unit in units:
                artifact = session.store.find(unit)
                described = load_descriptions(artifact.path) if artifact else {}
                if label in described:
                    return described[label]
    return ()
