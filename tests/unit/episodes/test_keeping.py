"""What is computed once: never wrong, never more than there is room for, nothing left on disk."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fsarctl.artifacts.command import words
from fsarctl.episodes.feature_cache import Kept, Room
from fsarctl.errors import ConfigError
from fsarctl.execution.device import Machine

SIZE = 6 * 4  # bytes of a tensor below


class Counted:
    """Name n gives six numbers that depend on n; counts how often each is computed."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def __call__(self, names: list[int]) -> Tensor:
        self.calls.append(names)
        return torch.stack([torch.sin(n * torch.arange(6.0)).view(2, 3) for n in names])

    @property
    def computed(self) -> list[int]:
        return [name for names in self.calls for name in names]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("memory", "disk"), [(0, 0), (3, 0), (0, 3), (2, 2), (100, 0)])
def test_what_is_kept_is_what_was_computed(
    tmp_path: Path, memory: int, disk: int, dtype: torch.dtype
) -> None:
    compute = Counted()
    size = SIZE * dtype.itemsize // 4
    room = Room(memory * size, disk * size, tmp_path)
    kept = Kept(lambda names: compute(names).to(dtype), room)
    for names in ([1, 2, 3], [3, 2, 1, 1], [4, 5, 6, 1], [6, 5, 4, 3, 2, 1]):
        assert torch.equal(kept.of(names), Counted()(names).to(dtype))
    # Six names, in the order first asked; those that had no room are computed each time they are asked.
    asked = {1: 4, 2: 3, 3: 3, 4: 2, 5: 2, 6: 2}
    times = {n: compute.computed.count(n) for n in asked}
    held = memory + disk
    assert times == {n: 1 if n <= held else asked[n] for n in asked}
    assert not list(tmp_path.iterdir())


def test_a_computation_has_always_the_same_size() -> None:
    compute = Counted()
    kept = Kept(compute, Room(), at_once=4)
    assert torch.equal(kept.of([1, 2, 3, 4, 5, 1]), Counted()([1, 2, 3, 4, 5, 1]))
    assert compute.calls == [[1, 2, 3, 4], [5, 5, 5, 5]]
    # One that is kept does not hold the memory of all that were computed with it.
    assert {tensor.untyped_storage().nbytes() for tensor in kept._held.values()} == {SIZE}


def test_clearing_forgets_and_makes_room(tmp_path: Path) -> None:
    compute = Counted()
    kept = Kept(compute, Room(SIZE, SIZE, tmp_path))
    kept.of([1, 2])
    kept.clear()
    kept.of([3, 4])
    kept.of([3, 4])
    assert compute.computed == [1, 2, 3, 4]


def test_those_who_share_a_room_keep_no_more_together(tmp_path: Path) -> None:
    room = Room(3 * SIZE, 2 * SIZE, tmp_path)
    first, second = Kept(Counted(), Room(2 * SIZE, SIZE, tmp_path, within=room)), Kept(Counted(), room)
    first.of([1, 2, 3, 4])
    assert (room.held, room.filed) == (2 * SIZE, SIZE)
    second.of([1, 2, 3, 4])
    assert (room.held, room.filed) == (3 * SIZE, 2 * SIZE)
    first.clear()
    assert (room.held, room.filed) == (SIZE, SIZE)
    second.of([5, 6])
    assert (room.held, room.filed) == (3 * SIZE, SIZE)
    # What moves to another room counts there.
    other = Room(SIZE, 0)
    second.room = other
    assert (room.held, room.filed) == (0, 0)
    assert (other.held, other.filed) == (3 * SIZE, SIZE)
    assert not other.take(memory=1)


class Store:
    """What others find; it has room for all."""

    def __init__(self) -> None:
        self.there: dict[int, Tensor] = {}

    def bound(self, most: int) -> None: ...

    def read(self, name: int) -> Tensor | None:
        return self.there.get(name)

    def write(self, name: int, tensor: Tensor) -> bool:
        self.there[name] = tensor
        return True


def test_what_others_find_is_not_kept_a_second_time(tmp_path: Path) -> None:
    room, store, compute = Room(0, 100 * SIZE, tmp_path), Store(), Counted()
    kept = Kept(compute, room, lasting=store)
    names = list(range(20))
    assert torch.equal(kept.of(names), Counted()(names))
    assert sorted(store.there) == names
    assert room.filed == 0
    # In an order of its own, so that two who begin at the same time do not both compute all.
    assert sorted(compute.computed) == names != compute.computed
    assert torch.equal(kept.of(names), Counted()(names))
    assert len(compute.computed) == len(names)


def test_a_full_disk_costs_time_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    compute = Counted()
    kept = Kept(compute, Room(0, 10 * SIZE, tmp_path))
    for _ in range(2):
        assert torch.equal(kept.of([1, 2]), Counted()([1, 2]))
    assert compute.computed == [1, 2, 1, 2]


def test_a_machine_says_its_flags_and_bounds_its_room(tmp_path: Path) -> None:
    assert Machine().options == ()
    machine = Machine("cpu", 0.5, 1e9)
    assert words(machine.options) == ["--device", "cpu", "--memory", "0.5", "--spill", "1000000000.0"]
    room = machine.room(machine.choose_device(), tmp_path)
    assert room.memory == 2**29
    assert 0 < room.disk <= os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize / 2 * 1.1
    with pytest.raises(ConfigError, match="abacus"):
        Machine("abacus").choose_device()
