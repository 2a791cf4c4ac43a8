"""What a stage hands to the store: a unit of work whose key is known before it runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from fsarctl.artifacts.command import Command
from fsarctl.artifacts.file_stat import Look
from fsarctl.artifacts.unfinished.shared_parts import SharedParts
from fsarctl.progress import Reporter

__all__ = ["JSON", "Build", "Earlier", "Files", "Parts", "Unit"]


JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"


@dataclass(frozen=True)
class Files:
    """Files outside the store that a unit reads, by name; only their contents enter the key.

    ``paths`` maps a name that is stable across machines (``"train/juggling/03.mp4"``) to where the
    file is today. The names enter the key, the paths do not. ``seen``: what the file system said of a path
    when it was looked at just now, so that planning need not ask again; a build does, when it is done.
    ``members``: which files of a folder, in order, are the input that a path of a folder stands for: their
    names and bytes are its content. None: a folder is no input. ``known``: the sha256 of a path's content, as
    whoever planned this for others has found it.
    """

    paths: Mapping[str, Path | str]
    seen: Mapping[str, Look] = field(default_factory=dict)
    members: Callable[[str], Sequence[str]] | None = None
    known: Mapping[str, str] = field(default_factory=dict)


class Earlier(NamedTuple):
    """What an earlier build of a stage left, under another key or the same: a source of parts.

    ``folder`` is a finished artifact (``scratch`` is None then), verified like one that is found, or what an
    interrupted build, ``of`` something, had made so far, with its scratch files. Of that nothing is
    verified, nor are the shards of an array: who takes something over checks it.
    """

    folder: Path
    scratch: Path | None = None
    of: str = ""


@dataclass(frozen=True)
class Build:
    """What a unit's build function is given.

    ``folder`` is private to this key and survives a crash: a rerun gets it back with whatever was
    left in it and may go on from there. Everything in it when the function returns becomes the
    artifact, so scratch files are removed before returning (or kept in ``scratch``, which survives
    a crash likewise and is never published). ``inputs`` are the folders of the upstream artifacts.
    ``record`` adds a fact (device, counts) to the manifest's provenance; it is not part of the key.
    ``digests`` are the sha256 of what went in, {input: {file name: sha256}}. ``earlier`` lists what a
    unit that ``reuses`` may take parts from, the newest artifact first; nothing when everything is to be
    made anew (``force``). ``of`` names the build: what is read back from ``folder`` or ``scratch`` is sealed
    with it, see ``sealed.py``. ``require_unchanged``, of an input and names in it, raises IntegrityError
    where a file is not what it was when this was planned. It is for parts, which may have been planned
    elsewhere; when the whole is made, all files are compared. ``shared`` gives, while the build
    lasts, the parts of a unit that is never finished: what this build makes of them as it goes, others find.
    None where there is no store.
    """

    folder: Path
    scratch: Path
    inputs: Mapping[str, Path]
    reporter: Reporter
    record: Callable[[str, JSON], None]
    digests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    earlier: Callable[[], Sequence[Earlier]] = tuple
    of: str = ""
    require_unchanged: Callable[[str, Sequence[str]], None] = lambda name, files: None
    shared: Callable[["Unit"], SharedParts | None] = lambda unit: None


class Parts(NamedTuple):
    """How the build of a unit divides: into parts that leave what they made in its folders, and meet there.

    ``left`` says by number which are not there yet, whole; ``begin`` loads what all of them need once, and
    gives what makes one of them. A part depends on no other, may be made twice at once, and is there as soon
    as it is whole; the build uses those that are there and makes the others itself, to the same bytes.
    """

    left: Callable[[Build], Sequence[int]]
    begin: Callable[[Build], Callable[[int], None]]


@dataclass(frozen=True)
class Unit:
    """One artifact that a stage can make.

    key = hash(stage, version, config, digest of each input). ``slot`` names the question that the
    artifact answers ("train shapes 1-shot"), so that an outdated answer can be compared with the
    present one; ``command`` is what a user types to make it. ``aside`` are files that say how it was
    made: kept and verified like the others, but not part of the digest that others depend on. ``reuses``:
    its build may take parts of earlier artifacts of its stage, so these are worth keeping until it is made.
    ``apart``: it keeps one core busy for long, so that several are better made beside each other. ``parts``:
    it can be divided among many. ``cores``: how many its build keeps busy, which it shares them by itself.
    ``foresee`` is called before anything is made for it, upstream included: it raises what would stop the
    build later, and returns what should be said.
    """

    stage: str
    version: int
    slot: str
    command: Command
    config: Mapping[str, JSON]
    build: Callable[[Build], None]
    inputs: Mapping[str, "Unit | Files"] = field(default_factory=dict)
    aside: tuple[str, ...] = ()
    reuses: bool = False
    apart: bool = False
    parts: Parts | None = None
    cores: int = 1
    foresee: Callable[[], Sequence[str]] | None = None
