"""What stands in a store beside its artifacts, verified: unfinished work, and paid answers."""

import errno
from collections.abc import Collection, Iterator
from pathlib import Path

from fsarctl.artifacts.cache_layout import Shelf, Verdict, odd_in
from fsarctl.artifacts.refusals import content_of, is_refused, unreadable
from fsarctl.artifacts.unfinished.journal import Journal
from fsarctl.artifacts.unfinished.sealed import (
    SealError,
    is_before_seals,
    read_sealed_json,
    require_sealed,
    set_aside,
)
from fsarctl.errors import LockError
from fsarctl.progress import counted

__all__ = ["BEFORE_SEALS", "verify_records", "verify_unfinished"]

BEFORE_SEALS = frozenset(
    {"label", "model", "temperature", "prompt_digest", "stages", "form", "usage", "server", "answered_by"}
    | {"created", "found", "without"}
)
"""The fields of a record of an earlier version, which bears no checksum and is paid for all the same."""


def verify_records(shelf: Shelf) -> Iterator[Verdict]:
    """Reads every record; a damaged one goes to quarantine with a note, and is asked for again."""
    for path in sorted((shelf.root / "records").rglob("*.json")):
        name = f"record {path.stem[:12]}"
        try:
            read_sealed_json(content_of(path), path.name, BEFORE_SEALS)
        except OSError as error:
            if is_refused(error):
                yield Verdict(path, "records", name, (), None, str(unreadable("it", error)), "record")
            elif error.errno != errno.ENOENT:
                fault = str(error.strerror)
                yield Verdict(path, "records", name, (fault,), _aside(shelf, path, fault), sort="record")
        except (ValueError, RecursionError) as error:
            fault = str(error) if isinstance(error, SealError) else f"no JSON ({type(error).__name__})"
            yield Verdict(path, "records", name, (fault,), _aside(shelf, path, fault), sort="record")
        else:
            yield Verdict(path, "records", name, (), None, sort="record")


def verify_unfinished(shelf: Shelf, at_work: Collection[str]) -> Iterator[Verdict]:
    """Reads what interrupted builds have finished, but for those that somebody is at ("stage/place").

    What is damaged is taken out of it, so that the next build makes it again.
    """
    for work in shelf.unfinished():
        if f"{work.parent.name}/{work.name}" in at_work:
            continue
        stage, name = work.parent.name, f"unfinished {work.parent.name} {work.name}"
        try:
            with shelf.lock(stage, work.name, name, patience_s=0):
                faults, place = _faults_of(shelf, work)
                yield Verdict(work, stage, name, tuple(faults), place, sort="unfinished build")
        except LockError:
            continue
        except OSError as error:
            yield Verdict(work, stage, name, (), None, str(unreadable("it", error)), "unfinished build")


def _faults_of(shelf: Shelf, work: Path) -> tuple[list[str], Path | None]:
    """What is wrong with it, and where the last damaged file went."""
    of, scratch = shelf.seal_of(work), work / "scratch"
    faults, place = [], None
    odd = odd_in(work)
    for path in (work, work / "folder", scratch):
        if path.is_file() and path not in odd:
            odd[path] = "a file, and no folder"
    for path, what in odd.items():
        faults.append(f"{path.name} is {what}")
        place = _aside(shelf, path, faults[-1])
    if not work.is_dir():
        return faults, place
    for path in sorted(scratch.rglob("*.safetensors")):
        content = b""
        try:
            if path.is_dir():
                raise SealError("it is a folder")
            content = path.read_bytes()
            require_sealed(content, f"{of} {path.name}")
        except SealError as error:
            if is_before_seals(content):
                shelf.reporter.note(
                    f"{path.name} of unfinished {of} is of an earlier version, which wrote no checksums: no"
                    " build goes on from it, and `fsarctl cache gc` removes it."
                )
                continue
            faults.append(f"{path.name}: {error}")
            place = _aside(shelf, path, str(error))
    journal = Journal(scratch, of)
    entries, lost = journal.read()
    whole = [each for each in entries if each.is_whole(work / "folder") or each.is_whole(scratch)]
    if lost := lost + len(entries) - len(whole):
        faults.append(f"{journal.path.name}: {counted(lost, 'part')} of it or of what it tells of")
        journal.begin(whole)
        shelf.reporter.note(f"DAMAGED: {journal.path.parent.parent}: {faults[-1]}. It will be made again.")
    return faults, place


def _aside(shelf: Shelf, path: Path, fault: str) -> Path | None:
    try:
        place = set_aside(path, shelf.root / "quarantine")
    except OSError as error:
        shelf.reporter.note(f"DAMAGED: {path}: {fault}. It could not be moved away: {error.strerror}.")
        return None
    shelf.reporter.note(f"DAMAGED: {path}: {fault}. It was moved to {place} and will be made again.")
    return place
