"""The commands. Each one parses and hands over to the session; what is printed is in ``tables``."""

import os
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fsarctl.cli.session import Session, command
from fsarctl.errors import UsageError
from fsarctl.execution.device import Machine

__all__ = ["app"]

app = typer.Typer(
    name="fsarctl",
    help="Few-shot action recognition: describe, extract, train, eval. Finished work is never done twice.",
    epilog="Start with: fsarctl run\n\nFSARCTL_CACHE, FSARCTL_PROJECT and FSARCTL_DEVICE stand for --cache, "
    "--project and --device; FSARCTL_TRAIN_LR=0.01, and so on for every setting, for --set train.lr=0.01.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
cache = typer.Typer(help="Look into the artifact store, check it, and clear it.", no_args_is_help=True)
config = typer.Typer(help="Settings: values, meanings, and where they come from.", no_args_is_help=True)
data = typer.Typer(help="The datasets: what they hold, and whether it is enough.", no_args_is_help=True)
app.add_typer(cache, name="cache")
app.add_typer(data, name="data")
app.add_typer(config, name="config")

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Dataset = Annotated[str | None, typer.Option("--dataset", help="A dataset of fsarctl.toml, by name.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.", envvar="FSARCTL_DEVICE")]
Memory = Annotated[
    float | None,
    typer.Option("--memory", min=0, help="GiB for videos computed once; default: 2, half of a free GPU."),
]
Spill = Annotated[float, typer.Option("--spill", min=0, help="GiB on disk for them once memory is full.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Do the work again even if it is done.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Shots = Annotated[
    list[int] | None,
    typer.Option("--shots", min=1, metavar="K [K ...]", help="Which shots, e.g. --shots 1 3 5."),
]
Jobs = Annotated[int, typer.Option("--jobs", min=1, help="Shots at once, one core each.")]
TimeLimit = Annotated[float, typer.Option("--time-limit", min=1, help="Seconds a video may take.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Decoding processes; default: one a core.")]


class Layout(StrEnum):
    """The values of --format."""

    table = "table"
    csv = "csv"
    markdown = "markdown"
    latex = "latex"


class PredictionLayout(StrEnum):
    """The values of predict's --format."""

    table = "table"
    csv = "csv"


def _clip_path(text: str) -> Path:
    """A clip's path; an unset shell variable is not the present folder, and an address is no path."""
    if not text or "://" in text:
        raise UsageError(
            f"{text!r} is no video file or folder",
            next_step="Name files; download what is on the network first.",
        )
    return Path(text)


def _one_layout(layout: StrEnum, as_json: bool) -> None:
    if as_json and layout != "table":
        raise UsageError(f"--json and --format {layout.value} are two layouts", next_step="Leave out one.")


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Few-shot action recognition: describe, extract, train, eval."""
    if version:
        from fsarctl import __version__

        typer.echo(f"fsarctl {__version__}")
        raise typer.Exit


@app.command("init", epilog="Example: fsarctl init clips --dry-run")
def init(
    place: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Class directories, a public benchmark, or a list file."),
    ] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace the fsarctl.toml that is here.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print it, and write nothing.")] = False,
) -> None:
    """Look at a folder of clips, and write a commented fsarctl.toml for it here."""
    from fsarctl.cli.init import write_project

    write_project(place, force=force, dry_run=dry_run)


@command(app, "describe", example="fsarctl describe --labels kinetics.txt")
def describe(
    session: Session,
    chosen: Annotated[
        list[str] | None,
        typer.Argument(metavar="LABEL", help="With --show or --edit: these labels, of a dataset or not."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="A text file, one action label a line; default: the datasets' labels."),
    ] = None,
    dataset: Dataset = None,
    shown: Annotated[bool, typer.Option("--show", help="Print the descriptions there are now.")] = False,
    edited: Annotated[
        bool,
        typer.Option("--edit", help="Correct descriptions in your editor; corrections are kept and win."),
    ] = False,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, help="Questions under way at once.")
    ] = 4,
    time_limit: Annotated[
        float, typer.Option("--time-limit", min=1, help="Seconds an answer may take.")
    ] = 120,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the prompts that would be sent, and about what they cost.")
    ] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Turn each label into three sub-actions: beginning, process, end."""
    from fsarctl.cli import describe as describing

    given = [flag for flag, on in (("--show", shown), ("--edit", edited), ("--dry-run", dry_run)) if on]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are two commands", next_step=f"Leave out {given[1]}.")
    if chosen and not (shown or edited):
        raise UsageError(
            f"{chosen[0]!r} is a label for --show or --edit",
            next_step=f"A list of labels: fsarctl describe --labels {shlex.quote(chosen[0])}",
        )
    pipeline = session.pipeline(dataset=dataset, concurrency=concurrency, answer_limit_s=time_limit)
    if shown:
        describing.show(session, pipeline, labels, chosen or (), as_json=as_json)
    elif edited:
        from fsarctl.cli.edit_descriptions import edit

        edit(session, pipeline, labels, chosen or ())
    elif dry_run:
        calls = pipeline.describe_calls(describing.labels_of(pipeline, labels))
        describing.show_calls(calls, as_json=as_json)
    else:
        describing.make(session, pipeline, labels, force=force, as_json=as_json)


@command(app, "extract", example="fsarctl extract --workers 4")
def extract(
    session: Session,
    dataset: Dataset = None,
    workers: Workers = CORES,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if any video cannot be decoded.")] = False,
    time_limit: TimeLimit = 60,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try again what ran out of time or crashed the decoder.")
    ] = False,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Decode the frames of every clip into the frame store; what was decoded before is copied."""
    pipeline = session.pipeline(dataset=dataset, workers=workers, strict=strict, time_limit_s=time_limit)
    session.extract(
        pipeline.extract(), strict=strict, retry=retry, dry_run=dry_run, force=force, as_json=as_json
    )


@command(app, "train", example="fsarctl train --shots 1 3 5 --set train.lr=0.01")
def train(
    session: Session,
    shots: Shots = None,
    device: Device = "auto",
    memory: Memory = None,
    spill: Spill = 16.0,
    board: Annotated[
        Path | None,
        typer.Option("--tensorboard", metavar="DIR", help="Also write the curves there for TensorBoard."),
    ] = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Train one set of adapters per shot on the base classes; the curves are in each artifact's log.jsonl."""
    from fsarctl.cli.curves import train as run

    pipeline = session.pipeline(machine=Machine(device, memory, spill), board=board)
    units = pipeline.train(session.shots(shots, "train"))
    session.warn(pipeline.data.training_warnings())
    run(session, units, board, dry_run=dry_run, force=force, as_json=as_json)


@command(app, "eval", example="fsarctl eval --shots 1 3 5")
def evaluate(
    session: Session,
    shots: Shots = None,
    dataset: Dataset = None,
    device: Device = "auto",
    memory: Memory = None,
    spill: Spill = 16.0,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Score episodes of novel classes, and print accuracy with its 95 % interval."""
    pipeline = session.pipeline(dataset=dataset, machine=Machine(device, memory, spill))
    units = pipeline.evaluate(session.shots(shots, "eval"))
    session.make_results(
        units,
        units,
        upstream=False,
        warnings=pipeline.data.warnings(),
        dry_run=dry_run,
        force=force,
        as_json=as_json,
    )


@command(app, "run", example="fsarctl run --dry-run")
def run(
    session: Session,
    shots: Shots = None,
    dataset: Dataset = None,
    workers: Workers = CORES,
    jobs: Jobs = 1,
    device: Device = "auto",
    memory: Memory = None,
    spill: Spill = 16.0,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Do whatever is not done yet of describe, extract, train and eval, then print the results."""
    machine = Machine(device, memory, spill)
    pipeline = session.pipeline(dataset=dataset, workers=workers, machine=machine)
    chosen = session.shots(shots, "eval")
    session.make_results(
        pipeline.everything(chosen),
        pipeline.evaluate(chosen),
        upstream=True,
        warnings=pipeline.data.warnings(),
        jobs=jobs,
        words=machine.words,
        dry_run=dry_run,
        force=force,
        as_json=as_json,
    )


@command(app, "ablate", example="fsarctl ablate table4 --seeds 0 1 2 --jobs 2")
def ablate(
    session: Session,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Sweeps, e.g. table4; without any, they are listed."),
    ] = None,
    rows: Annotated[
        list[str] | None,
        typer.Option("--rows", metavar="ROW [ROW ...]", help="These rows alone, and their baselines."),
    ] = None,
    shots: Shots = None,
    seeds: Annotated[
        list[int] | None,
        typer.Option("--seeds", min=0, metavar="S [S ...]", help="Of training and episodes, each a run."),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Runs at once, one core each.")] = 1,
    workers: Workers = CORES,
    device: Device = "auto",
    memory: Memory = None,
    spill: Spill = 16.0,
    dry_run: DryRun = False,
    layout: Annotated[Layout, typer.Option("--format", help="How the table is printed.")] = Layout.table,
    as_json: Json = False,
) -> None:
    """Run a sweep of settings (the paper's tables and figures, or your own), and print its table."""
    from fsarctl.cli.ablate import ablate as run

    _one_layout(layout, as_json)
    run(
        session,
        names or [],
        rows=rows or [],
        shots=shots or [],
        seeds=seeds or [],
        jobs=jobs,
        machine=Machine(device, memory, spill),
        workers=workers,
        dry_run=dry_run,
        layout=layout.value,
        as_json=as_json,
    )


@command(app, "report", example="fsarctl report --open")
def report(
    session: Session,
    shots: Shots = None,
    dataset: Dataset = None,
    output: Annotated[Path, typer.Option("--output", help="The file to write.")] = Path("report.html"),
    opens: Annotated[bool, typer.Option("--open", help="Open it in a browser when it is written.")] = False,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="With episodes and where the models look.")
    ] = True,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers instead of writing it.")] = False,
) -> None:
    """Write one HTML file with what is evaluated: results, curves, confusions, episodes, ablations."""
    from fsarctl.cli.report import report as run

    run(
        session,
        session.shots(shots, "eval"),
        dataset,
        output=output,
        machine=Machine(device),
        pictures=pictures,
        opens=opens,
        as_json=as_json,
    )


@command(app, "show", example="fsarctl show clips/waving/03.mp4 --open")
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
    from fsarctl.cli.show import show as run

    run(session, clip, dataset, output=output, opens=opens, as_json=as_json)


@command(app, "compare", example='fsarctl compare "eval shapes 1-shot frozen" 7712dc')
def compare(
    session: Session,
    first: Annotated[str, typer.Argument(metavar="A", help="A result: how its key begins, or its slot.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another result on the same episodes.")],
    as_json: Json = False,
) -> None:
    """The paired difference of two results (`fsarctl cache ls`): B - A, 95 % interval, test."""
    session.compare((first, second), as_json=as_json)


@command(app, "predict", example="fsarctl predict --support examples/ new.mp4 other.mp4")
def predict(
    session: Session,
    support: Annotated[
        Path,
        typer.Option(
            "--support", help="A folder with a folder of clips for each class, or a file of --save-support."
        ),
    ],
    clips: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[CLIP]...", parser=_clip_path, help="Videos, or folders of videos."),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes of each clip to print.")] = 3,
    shots: Annotated[
        int | None,
        typer.Option("--shots", min=1, metavar="K", help="Adapters trained for K shots; default: nearest."),
    ] = None,
    frozen: Annotated[bool, typer.Option("--frozen", help="The frozen backbone, without adapters.")] = False,
    save_support: Annotated[
        Path | None,
        typer.Option("--save-support", metavar="FILE.safetensors", help="Keep the support's features."),
    ] = None,
    workers: Workers = CORES,
    time_limit: Annotated[float, typer.Option("--time-limit", min=1, help="Seconds a video may take.")] = 60,
    device: Device = "auto",
    layout: Annotated[PredictionLayout, typer.Option("--format", help="How they are printed.")] = (
        PredictionLayout.table
    ),
    as_json: Json = False,
) -> None:
    """Name the action of new clips from examples of each class, every clip by itself."""
    from fsarctl.cli.predict import predict as run

    _one_layout(layout, as_json)
    run(
        session,
        support,
        clips or [],
        top=top,
        shot=shots,
        frozen=frozen,
        save=save_support,
        workers=workers,
        time_limit_s=time_limit,
        machine=Machine(device),
        layout="json" if as_json else layout.value,
    )


@command(app, "status", example="fsarctl status --why --set train.lr=0.01")
def status(
    session: Session,
    why: Annotated[bool, typer.Option("--why", help="Name each field that changed, old and new.")] = False,
    shots: Shots = None,
    dataset: Dataset = None,
    as_json: Json = False,
) -> None:
    """Which artifacts are done, which are missing or stale, and why."""
    units = session.pipeline(dataset=dataset).everything(session.shots(shots, "eval"))
    session.status(units, why=why, as_json=as_json)


@command(app, "doctor", example="fsarctl doctor --json")
def doctor(session: Session, as_json: Json = False) -> None:
    """What this machine and this project have: versions, devices, weights, keys."""
    from fsarctl.cli.doctor import examine

    examine(session, as_json=as_json)


@command(config, "show", example="fsarctl config show --origin")
def config_show(
    session: Session,
    origin: Annotated[bool, typer.Option("--origin", help="Also say where each value comes from.")] = False,
    as_json: Json = False,
) -> None:
    """Every setting with its value and meaning."""
    session.show_settings(origin=origin, as_json=as_json)


@command(data, "ls", example="fsarctl data ls")
def data_ls(session: Session, as_json: Json = False) -> None:
    """The datasets of the project: kind, and classes and clips of each split."""
    from fsarctl.cli.data import list_datasets

    list_datasets(session, as_json=as_json)


@command(data, "check", example="fsarctl data check k100 --shots 1 5")
def data_check(
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
    time_limit: TimeLimit = 60,
    as_json: Json = False,
) -> None:
    """What is missing, unreadable, there twice, or too little for the episodes of train and eval."""
    from fsarctl.cli.data import check_datasets

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


@command(cache, "ls", example="fsarctl cache ls")
def cache_ls(session: Session, as_json: Json = False) -> None:
    """Every artifact: what it answers, its size and its age."""
    session.list_artifacts(as_json=as_json)


@command(cache, "show", example="fsarctl cache show 3f9c21")
def cache_show(
    session: Session,
    key: Annotated[str, typer.Argument(help="The first characters of an artifact's key.")],
) -> None:
    """One artifact's manifest, as JSON."""
    session.show_artifact(key)


@command(cache, "verify", example="fsarctl cache verify")
def cache_verify(session: Session, as_json: Json = False) -> None:
    """Read every byte back and compare it with its digest; what is corrupt is moved to quarantine."""
    session.verify(as_json=as_json)


@command(cache, "gc", example="fsarctl cache gc --dry-run")
def cache_gc(
    session: Session,
    sweeps: Annotated[
        bool,
        typer.Option("--sweeps", help="Tables of `fsarctl ablate` too, with their runs."),
    ] = False,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove the artifacts that the present settings do not use. Paid descriptions and sweeps are kept."""
    session.collect(sweeps=sweeps, dry_run=dry_run, yes=yes, as_json=as_json)
