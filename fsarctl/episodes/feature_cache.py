"""Tensors computed once and read often: kept in memory up to a limit, then in a file up to another.

What fits nowhere is computed again, so memory does not grow with the number of clips. The file has no name
from the moment it is opened, so that nothing is left of it after a crash. What others may have computed, and
will have a use for, is beside it in the store (``Lasting``).
"""

import os
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

__all__ = ["Kept", "Lasting", "Room"]

Name = TypeVar("Name", int, str)


@dataclass
class Room:
    """How much all who share it may keep, in bytes: where the tensors are, and in a file in ``folder``.

    What is taken of a room ``within`` another one is taken of that one too.
    """

    memory: int = 2**30
    disk: int = 0
    folder: Path | None = None
    within: "Room | None" = None
    held: int = field(default=0, init=False)
    """What is taken of the memory."""
    filed: int = field(default=0, init=False)
    """What is taken of the disk."""

    def take(self, memory: int = 0, disk: int = 0) -> bool:
        """Whether there was as much left; then it is taken."""
        if self.held + memory > self.memory or self.filed + disk > self.disk:
            return False
        if self.within is not None and not self.within.take(memory, disk):
            return False
        self.held += memory
        self.filed += disk
        return True

    def move(self, memory: int = 0, disk: int = 0) -> None:
        """Count as taken what is there already, or, below 0, as free again."""
        self.held += memory
        self.filed += disk
        if self.within is not None:
            self.within.move(memory, disk)


class Lasting(Protocol):
    """Where tensors are found that another process computed, and left for it; see ``KeptPrefixes``."""

    def bound(self, most: int) -> None:
        """So many bytes may be taken."""

    def read(self, name: int, /) -> Tensor | None:
        """What is there under a name, if anything is."""

    def write(self, name: int, tensor: Tensor, /) -> bool:
        """Leave it there, if that is worth it and there is room; whether it is there."""


class Kept(Generic[Name]):
    """What ``compute`` gives for each name, kept as far as there is ``room``, and where it is ``lasting``.

    All three may be replaced, ``compute`` by what gives the same. It gets a list of names and answers with
    one tensor, (names, ...). It is always asked for ``at_once`` of them, the last one repeated if need be, so
    that no answer depends on its company.
    """

    def __init__(
        self,
        compute: Callable[[list[Name]], Tensor],
        room: Room,
        at_once: int = 1,
        lasting: Lasting | None = None,
    ) -> None:
        self._room = room
        self.compute: Callable[[list[Name]], Tensor] = compute
        self.lasting = lasting
        self._at_once = at_once
        self._held: dict[Name, Tensor] = {}
        self._held_bytes = 0
        self._file = _File()

    @property
    def room(self) -> Room:
        """Where it is kept; what was kept before counts there too."""
        return self._room

    @room.setter
    def room(self, room: Room) -> None:
        self._room.move(-self._held_bytes, -self._file.bytes)
        room.move(self._held_bytes, self._file.bytes)
        self._room = room

    def of(self, names: Sequence[Name]) -> Tensor:
        """(names, ...)."""
        distinct = list(dict.fromkeys(names))
        found = {name: tensor for name in distinct if (tensor := self._find(name)) is not None}
        missing = [name for name in distinct if name not in found]
        if self.lasting is not None:
            random.shuffle(missing)  # so that those who are at the same names compute different ones
        for start in range(0, len(missing), self._at_once):
            group = missing[start : start + self._at_once]
            if self.lasting is not None:
                found |= {name: tensor for name in group if (tensor := self._find(name)) is not None}
                group = [name for name in group if name not in found]
            if not group:
                continue
            computed = self.compute(group + [group[-1]] * (self._at_once - len(group)))
            for name, tensor in zip(group, computed, strict=False):
                # A part of a batch would keep all of the batch in memory.
                found[name] = tensor.clone() if self._at_once > 1 else tensor
                self._keep(name, found[name])
        return torch.stack([found[name] for name in names])

    def clear(self) -> None:
        """Forget everything."""
        self._room.move(-self._held_bytes, -self._file.bytes)
        self._held.clear()
        self._held_bytes = 0
        self._file = _File()

    def _find(self, name: Name) -> Tensor | None:
        held = self._held.get(name)
        if held is None:
            held = self._file.read(name)
        if held is None and self.lasting is not None and isinstance(name, int):
            held = self.lasting.read(name)
            if held is not None:
                self._hold(name, held)
        return held

    def _keep(self, name: Name, tensor: Tensor) -> None:
        lasts = self.lasting is not None and isinstance(name, int) and self.lasting.write(name, tensor)
        size = tensor.numel() * tensor.element_size()
        if self._hold(name, tensor) or lasts:
            return
        if self._room.folder is not None and self._room.take(disk=size):
            before = self._file.bytes
            self._file.write(name, tensor, self._room.folder)
            self._room.move(disk=self._file.bytes - before - size)  # a full disk took less

    def _hold(self, name: Name, tensor: Tensor) -> bool:
        size = tensor.numel() * tensor.element_size()
        if not self._room.take(memory=size):
            return False
        self._held[name] = tensor
        self._held_bytes += size
        return True


class _File:
    """Tensors of one shape, end to end."""

    def __init__(self) -> None:
        self.bytes = 0
        self._places: dict[int | str, int] = {}
        self._descriptor: int | None = None
        self._like = torch.empty(0)

    def read(self, name: int | str) -> Tensor | None:
        if name not in self._places or self._descriptor is None:
            return None
        on_gpu = self._like.device.type == "cuda"
        tensor = torch.empty(self._like.shape, dtype=self._like.dtype, pin_memory=on_gpu)
        os.preadv(self._descriptor, [_bytes(tensor)], self._places[name])
        return tensor.to(self._like.device, non_blocking=on_gpu)

    def write(self, name: int | str, tensor: Tensor, folder: Path) -> None:
        if self._descriptor is None:
            self._descriptor, path = tempfile.mkstemp(dir=folder, prefix="kept-")
            Path(path).unlink()
        content = _bytes(tensor.detach().cpu().contiguous())
        try:
            written = os.pwrite(self._descriptor, content, self.bytes)
        except OSError:  # a full disk is no reason to stop: what is not kept is computed again
            return
        if written == len(content):
            self._places[name] = self.bytes
            self._like = tensor.new_empty(tensor.shape)
            self.bytes += written

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def _bytes(tensor: Tensor) -> memoryview:
    content: memoryview = tensor.view(-1).view(torch.uint8).numpy().data
    return content
