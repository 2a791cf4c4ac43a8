"""`fsarctl export`: a model with its support set as files that other programs run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fsarctl.cli.command.options import (
    CORES,
    Always,
    Frozen,
    Json,
    Negatives,
    Support,
    TimeLimit,
    TrainedFor,
    Workers,
)
from fsarctl.cli.command.recognition import require_negatives, require_one_model, setup_of
from fsarctl.cli.command.session import Session, command
from fsarctl.cli.terminal.console import echo, print_json, say
from fsarctl.errors import UsageError
from fsarctl.errors.extras import require_extra
from fsarctl.execution.device import Machine
from fsarctl.progress import counted, sized
from fsarctl.video.processes import TIME_LIMIT_S

if TYPE_CHECKING:
    from fsarctl.predict.export.write import Exported

__all__ = ["export"]


@command("export", example="fsarctl export --support examples -o model --int8")
def export(
    session: Session,
    support: Support,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where it goes; an earlier export goes.")
    ],
    int8: Annotated[bool, typer.Option("--int8", help="Also with weights and products of 8 bits.")] = False,
    for_torch: Annotated[bool, typer.Option("--torch", help="Also for torch.export.load.")] = False,
    shots: TrainedFor = None,
    frozen: Frozen = False,
    negatives: Negatives = None,
    always: Always = False,
    workers: Workers = CORES,
    time_limit: TimeLimit = TIME_LIMIT_S,
    as_json: Json = False,
) -> None:
    """Write the model and a support set as ONNX, with a script that names clips without fsarctl.

    What it answers is compared with `fsarctl predict` on clips of the support, and has to be the same.
    """
    require_one_model(frozen, shots)
    require_negatives(support, negatives)
    _require_free(output)
    require_extra("export", "export", "onnx", "onnxscript", "onnxruntime")
    from fsarctl.predict.export.comparison import frames_to_compare
    from fsarctl.predict.export.write import write_model

    setup = replace(setup_of(session, Machine("cpu"), workers, time_limit), in_float32=True)
    ready = setup.ready(support, shot=shots, frozen=frozen, negatives=negatives, says_none=not always)
    if session.settings.config.model.precision != "float32":
        say("the export computes in float32: its scores are those of model.precision = float32")
    clips = frames_to_compare(ready.predictor, support)
    made = write_model(
        ready.predictor,
        ready.support,
        output,
        clips,
        int8=int8,
        for_torch=for_torch,
        reporter=session.reporter,
    )
    if as_json:
        print_json(
            {
                "schema": "fsarctl.export/1",
                "folder": str(output),
                "files": dict(made.files),
                "classes": list(ready.support.labels),
                "compared": {
                    "clips": made.clips,
                    **{kind: asdict(each) for kind, each in made.differences.items()},
                },
            }
        )
        return
    for line in _lines(output, made):
        echo(line)


def _require_free(folder: Path) -> None:
    """Refuse to replace what is no earlier export.

    Raises:
        UsageError: the folder is a file, or holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", next_step="Name a folder; it is made if need be.")
    if folder.is_dir() and any(folder.iterdir()) and not _is_export(folder):
        raise UsageError(
            f"{folder} holds other files, which an export would replace",
            next_step="Name a folder that is not there yet: -o FOLDER",
        )


def _is_export(folder: Path) -> bool:
    """Whether an export wrote all that is there: ``model.json`` is a common name."""
    try:
        facts = json.loads((folder / "model.json").read_bytes())
        written = {name for parts in facts["files"].values() for name in parts.values()}
        is_own = facts["schema"].startswith("fsarctl.model/")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False
    return is_own and {each.name for each in folder.iterdir()} <= {"model.json", "classify.py", *written}


def _lines(folder: Path, made: "Exported") -> "Sequence[str]":
    onnx, int8 = made.differences["onnx"], made.differences.get("int8")
    clips = counted(made.clips, "clip")
    lines = [
        *(f"{folder / name}  {sized(size)}" for name, size in made.files.items()),
        f"on {clips} scores are those of `fsarctl predict`, to {onnx.score:.0e}",
    ]
    if int8:
        lines.append(
            f"int8: confidences differ by up to {int8.confidence:.3f};"
            f" the same class of {int8.same} of {clips}"
        )
    return lines
