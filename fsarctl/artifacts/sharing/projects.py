"""Which projects of a shared store have a use for which artifact.

    projects/<project>/project.json         where the project is, whose, on which host, when it was last here
    projects/<project>/<stage>/<key[:20]>   an empty file: it has used this artifact, or begun to make it

A project claims what any of its commands finds or makes, whatever --set or sweep they ran with, and gives up
its claims by its own `gc` alone. One claim is one file, so that no two processes ever write to the same.
A project is its path and its folder's inode: the same from every machine that mounts it, another one where
another folder stands at the same path. The one that the store itself is in is that, wherever both are moved.
"""

import getpass
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from fsarctl.artifacts.atomic_write import following, write_whole
from fsarctl.artifacts.refusals import content_of, is_refused, reading_of, refuse_links
from fsarctl.errors import InputError
from fsarctl.progress import Reporter

__all__ = ["Projects"]

FACTS = "project.json"
AROUND = "around"
"""The project whose folder the store is in."""
FRESH_S = 3600.0
"""How old its last sign of life gets before a project gives another."""


@dataclass(frozen=True)
class Known:
    """A project that has used this store."""

    folder: Path
    path: str
    host: str
    user: str
    seen: str

    def __str__(self) -> str:
        gone = self.host == platform.node() and not Path(self.path).is_dir()
        tail = ", where nothing is any more: if for good, --forget it" if gone else ""
        return f"the project {self.path} ({self.user} on {self.host}, last here {self.seen}{tail})"


class Projects:
    """Those of one store, in ``folder``, seen from ``project``."""

    def __init__(self, folder: Path, project: Path, reporter: Reporter) -> None:
        self._folder = folder
        self.project = Path(os.path.realpath(project))
        self._reporter = reporter
        self._here = self._refused = False

    def claim(self, stage: str, name: str) -> None:
        """This project has a use for the artifact ``name`` of a stage."""
        if self._here and f"{stage}/{name}" in self._claims:
            return
        self._here = True
        try:
            with following(self._folder.parent):
                self._sign_in()
                (self._home / stage).mkdir(exist_ok=True)
                (self._home / stage / name).touch()
        except OSError as error:
            if not self._refused:
                self._refused = True
                self._reporter.note(
                    f"Other projects cannot be told what this one uses: {error.strerror}: {self._home}."
                )
        self._claims.add(f"{stage}/{name}")

    def give_up(self, names: Iterable[str]) -> None:
        """This project has no use for these ("stage/key") any more."""
        for name in names:
            (self._home / name).unlink(missing_ok=True)
            self._claims.discard(name)

    @property
    def claims(self) -> frozenset[str]:
        """ "stage/key" of what this project has a use for."""
        return frozenset(self._claims)

    def of_others(self, forget: Path | None = None) -> dict[str, str]:
        """ "stage/key" -> which other project, but for the one at ``forget``, has a use for it.

        Raises:
            InputError: no project at ``forget`` has used this store, or it is not to be known what one uses.
        """
        others = self._others()
        gone = [] if forget is None else _at(forget, others)
        if forget is not None and not gone:
            listed = "; ".join(map(str, others))
            raise InputError(
                f"no other project at {forget} has used this cache",
                next_step=f"Name one of: {listed}."
                if others
                else "No other project has used it: leave out --forget.",
            )
        others = [known for known in others if known not in gone]
        with reading_of("what another project uses"):
            return {name: str(known) for known in others for name in _claims(known.folder)}

    def nobody_claims(self, name: str) -> bool:
        """Whether no project is known to use an artifact, "stage/key"."""
        return name not in self._claims and not any((each / name).exists() for each in self._folder.glob("*"))

    def take_over(self, path: Path, discard: Callable[[Path], None]) -> None:
        """Make the claims of the project that was at ``path`` this one's, unless another has just done so.

        ``discard`` removes a folder at one stroke: of half a project nobody would know where it was.
        """
        for known in _at(path, self._others()):
            for name in _claims(known.folder):
                self.claim(*name.split("/"))
            discard(known.folder)

    @cached_property
    def _home(self) -> Path:
        if self.is_around:
            return self._folder / AROUND
        try:
            inode = self.project.stat().st_ino
        except OSError:
            inode = 0
        return self._folder / hashlib.sha256(f"{self.project}\n{inode}".encode()).hexdigest()[:16]

    @property
    def is_around(self) -> bool:
        """Whether the store is in this project's own folder."""
        return self._folder.resolve().is_relative_to(self.project)

    @cached_property
    def _claims(self) -> set[str]:
        refuse_links(self._home)
        return set(_claims(self._home))

    def _sign_in(self) -> None:
        facts = self._home / FACTS
        if facts.exists() and time.time() - facts.stat().st_mtime < FRESH_S:
            return
        self._home.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC).isoformat(timespec="minutes")
        known = {"path": str(self.project), "host": platform.node(), "user": _user(), "seen": now}
        write_whole(facts, json.dumps(known, indent=1).encode())

    def _others(self) -> list[Known]:
        found = []
        for folder in sorted(self._folder.glob("*")):
            if folder == self._home:
                continue
            try:
                facts = json.loads(content_of(folder / FACTS))
                words = [str(facts[field]) for field in ("path", "host", "user", "seen")]
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                words = ["of unknown path", "an unknown host", "somebody", "at an unknown time"]
            found.append(Known(folder, *words))
        return found


def _at(path: Path, projects: Iterable[Known]) -> list[Known]:
    places = (os.path.abspath(path), os.path.realpath(path))  # noqa: PTH100 - links that are gone
    return [known for known in projects if known.path in places]


def _claims(home: Path) -> list[str]:
    return [f"{stage}/{name}" for stage in _names(home, "is_dir") for name in _names(home / stage, "is_file")]


def _names(folder: Path, sort: Literal["is_dir", "is_file"]) -> list[str]:
    """The folders or the files there, links left out; nothing where there is none.

    Raises:
        OSError: it cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(each.name for each in entries if getattr(each, sort)(follow_symlinks=False))
    except OSError as error:
        if is_refused(error):
            raise
        return []


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"user {os.getuid()}"
