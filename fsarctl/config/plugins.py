"""Parts that somebody else wrote: a metric, method, backbone or dataset kind that a setting names.

A name is ``"package.module:name"``, or that of an installed entry point of one of ``GROUPS``. Naming a
part runs its code; nothing of the project's folder is looked at for it, so the package has to be
installed, or on PYTHONPATH. What identifies a part in a key is the digest of its source file, since
nobody raises a version number for us there; a ``VERSION`` in that file takes the digest's place.
"""

import ast
import hashlib
import importlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from traceback import walk_tb
from typing import Any

from fsarctl.errors import ConfigError, FsarctlError, InputError

__all__ = [
    "GROUPS",
    "Part",
    "fault_of_part",
    "find_part",
    "installed_parts",
    "is_own",
    "own_parts_in",
    "require_known",
]

GROUPS: Mapping[str, tuple[str, str]] = {
    "methods": ("method", "fsarctl.methods"),
    "metrics": ("metric", "fsarctl.metrics"),
    "backbones": ("backbone", "fsarctl.backbones"),
    "datasets": ("dataset kind", "fsarctl.datasets"),
}
"""Kind of part -> what one is called, and the group of entry points that it may be found in."""


@dataclass(frozen=True)
class Part:
    """A part that a setting names: ``target`` is ``package.module:name``, whatever it was found by."""

    group: str
    target: str
    known_as: str = ""
    """The name of a part of fsarctl's, which is what it is called in keys and messages."""

    @property
    def name(self) -> str:
        """What to call it."""
        return self.known_as or self.target

    @property
    def file(self) -> Path:
        """Its source file.

        Raises:
            ConfigError: there is no such module here, or it has no source file.
        """
        return _source(self.group, self.target)

    @property
    def key(self) -> dict[str, str | int]:
        """What identifies the part in an artifact's key.

        Raises:
            ConfigError: as ``file``.
        """
        text = self.file.read_bytes()
        version = _version_in(text)
        if version is not None:
            return {"part": self.name, "version": version}
        return {"part": self.name, "source": hashlib.sha256(text).hexdigest()}

    @property
    def package(self) -> str:
        """The package that its code is of."""
        return self.target.partition(":")[0].partition(".")[0]

    @property
    def called(self) -> str:
        """What messages call it."""
        return f"{GROUPS[self.group][0]} {self.name!r}"

    def load(self) -> Any:
        """The part itself; its type is for whoever uses it to check.

        Raises:
            ConfigError: there is no such module, or it does not hold that name.
            InputError: it cannot be imported.
        """
        module, _, name = self.target.partition(":")
        advice = f"Try: python -c 'import {module}'."
        with self.running("cannot be imported", next_step=advice):
            found: Any = importlib.import_module(module)
        for each in name.split("."):
            if not hasattr(found, each):
                raise self._without(name)
            found = getattr(found, each)
        if not self.known_as:
            _loaded.pop(self.target, None)
            _loaded[self.target] = self  # the last one is what is at work now
        return found

    @contextmanager
    def running(
        self,
        what: str = "failed",
        *,
        of: str = "",
        next_step: str = "Correct it; --debug shows how it came to it.",
    ) -> Iterator[None]:
        """What goes wrong within somebody else's part is told as its fault, with the line of its code.

        ``of``: what it was needed for.

        Raises:
            InputError: something did.
        """
        try:
            yield
        except (Exception, SystemExit) as error:  # what other people's code may do
            if self.known_as or isinstance(error, FsarctlError):
                raise
            raise InputError(
                f"{of}{self.called} {what}: {type(error).__name__}: {error} ({self._place(error)})",
                next_step=next_step,
            ) from error

    def require(self) -> None:
        """Refuse a part that is not there, without importing it.

        Raises:
            ConfigError: there is no such module or name.
            InputError: its source is no Python.
        """
        name = self.target.partition(":")[2]
        file = self.file
        try:
            names = _names_in(file, file.stat().st_mtime_ns)
        except SyntaxError as error:
            raise InputError(
                f"{self.called} cannot be imported: SyntaxError: {error.msg} ({file}:{error.lineno})",
                next_step="Correct it.",
            ) from None
        if names is not None and name.partition(".")[0] not in names:
            raise self._without(name)

    def _without(self, name: str) -> ConfigError:
        return ConfigError(
            f"{self.called}: {self.file} holds no {name}", next_step="Correct the name after the colon."
        )

    def _place(self, error: BaseException) -> str:
        """The last line of the part's own package that the error came through, or else its file."""
        place = None
        for frame, line in walk_tb(error.__traceback__):
            module = str(frame.f_globals.get("__name__"))
            if module.partition(".")[0] == self.package:
                place = Path(frame.f_code.co_filename), module, line
        if place is None:
            place = self.file, self.target.partition(":")[0], 0
        file, module, line = place
        parts = module.count(".") + 1 + (file.stem == "__init__")
        return "/".join(file.parts[-parts:]) + (f":{line}" if line else "")


def is_own(name: str) -> bool:
    """Whether ``name`` is written as a part that is not fsarctl's."""
    return ":" in name


def own_parts_in(key: Any) -> list[str]:
    """The parts of others in an artifact's key, as ``Part.key`` writes them, by their targets; each once."""
    if not isinstance(key, Mapping):
        return []
    part = key.get("part")
    found = [part] if isinstance(part, str) and is_own(part) else []
    return list(dict.fromkeys(chain(found, *map(own_parts_in, key.values()))))


def find_part(group: str, name: str, known: Iterable[str]) -> Part | None:
    """The part that ``name`` means, or None for one of ``known``, which are fsarctl's own.

    Raises:
        ConfigError: it is neither, nor an installed entry point; what there is is listed.
    """
    known = list(known)
    if name in known:
        return None
    if is_own(name):
        module, _, attribute = name.partition(":")
        if not all(each.isidentifier() for each in (*module.split("."), *attribute.split("."))):
            raise ConfigError(
                f"{GROUPS[group][0]} {name!r} is not of the form package.module:name",
                next_step='Write, for example, "my_package.my_module:MyName".',
            )
        return Part(group, name)
    installed = dict(installed_parts(group))
    if name in installed:
        return Part(group, installed[name])
    raise ConfigError(
        f"there is no {GROUPS[group][0]} {name!r}; there are {', '.join([*known, *installed])}",
        next_step='Choose one of these, or name your own as "package.module:name".',
    )


def require_known(group: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that means no part, without importing any.

    Raises:
        ConfigError, InputError: as ``find_part`` and ``Part.require``.
    """
    if part := find_part(group, name, known):
        part.require()


def fault_of_part(error: Exception) -> InputError | None:
    """What to say of an error that came out of somebody else's code unforeseen; None if it did not."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    modules = [str(frame.f_globals.get("__name__")) for frame in frames]
    within = {
        f"{module}:{frame.f_code.co_qualname.partition('.')[0]}"
        for module, frame in zip(modules, frames, strict=True)
    }
    packages = {module.partition(".")[0] for module in modules}
    parts = [part for part in reversed(_loaded.values()) if part.package in packages]
    if not parts:
        return None
    part = max(parts, key=lambda each: (each.target in within, each.target.partition(":")[0] in modules))
    try:
        with part.running():
            raise error
    except InputError as fault:
        return fault


_loaded: dict[str, Part] = {}
"""The parts of others whose code this process has loaded, by target."""


def installed_parts(group: str) -> Iterator[tuple[str, str]]:
    """The entry points of a group that are installed, as (name, target), sorted."""
    yield from _entry_points()[GROUPS[group][1]]


@cache
def _entry_points() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Those of all ``GROUPS``: asked one by one, the files of every installed package are read for each."""
    from importlib.metadata import entry_points  # a tenth of what `fsarctl --help` may take

    installed = entry_points()
    return {
        group: tuple(sorted({(each.name, each.value) for each in installed.select(group=group)}))
        for _, group in GROUPS.values()
    }


@cache
def _source(group: str, target: str) -> Path:
    module = target.partition(":")[0]
    what = GROUPS[group][0]
    try:
        spec = importlib.util.find_spec(module)
    except (Exception, SystemExit):  # a parent package that cannot be imported, in whatever way it fails
        spec = None
    if spec is None:
        raise ConfigError(
            f"{what} {target!r}: there is no module {module} here",
            next_step="Install its package where fsarctl is installed, or put its folder on PYTHONPATH.",
        )
    if spec.origin is None or not Path(spec.origin).is_file():
        raise ConfigError(
            f"{what} {target!r}: module {module} has no source file", next_step="Name a module with one."
        )
    return Path(spec.origin)


def _version_in(source: bytes) -> str | int | None:
    """The constant VERSION of a module, read without running it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if any(isinstance(each, ast.Name) and each.id == "VERSION" for each in targets):
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str | int):
                return value.value
    return None


# What a module that says any of these binds is known when it runs.
AT_RUN_TIME = {"*", "__getattr__", "exec", "globals", "locals", "modules", "setattr", "vars"}


@cache
def _names_in(file: Path, changed: int) -> frozenset[str] | None:  # noqa: ARG001 - an edited file is read anew
    """The names that a module binds, read without running it; None where they cannot be told.

    Raises:
        SyntaxError: it is no Python.
    """
    if file.suffix != ".py":
        return None
    tree = ast.parse(file.read_bytes())
    found = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    pending: list[ast.AST] = [*tree.body]
    while pending:
        node = pending.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)  # what is within binds nothing out here
                continue
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found.update((each.asname or each.name).partition(".")[0] for each in names)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in AT_RUN_TIME:
                found.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                found.add(name)
        pending += ast.iter_child_nodes(node)
    if file.name == "__init__.py":  # a package holds its modules, too, once something imports them
        found.update(each.name.partition(".")[0] for each in file.parent.iterdir())
    return None if found & AT_RUN_TIME else frozenset(found)
