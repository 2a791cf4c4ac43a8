"""Names that come late: what one machine renames, another may not see while its client keeps old names."""

import time
from pathlib import Path

from fsarctl.artifacts.refusals import is_there, listed

__all__ = ["LATE_S", "come_to_sight", "is_of_one_machine"]

LATE_S = 60.0
"""How long a network file system's client believes what it knows of a folder, unless told otherwise."""
POLL_S = 0.5
OF_ONE_MACHINE = (
    *("apfs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuseblk", "hfs", "jfs", "msdos", "ntfs"),
    *("overlay", "ramfs", "tmpfs", "ufs", "vfat", "xfs", "zfs"),
)


def come_to_sight(folder: Path) -> bool:
    """Whether a folder is there that another machine says it has put there; waits ``LATE_S`` for it.

    On a disk of this machine it is there at once or never.

    Raises:
        OSError: nobody will tell.
    """
    end = time.monotonic() + LATE_S
    while True:
        listed(folder.parent)  # opening it makes a client ask for its names anew
        if is_there(folder):
            return True
        if time.monotonic() >= end or is_of_one_machine(folder):
            return False
        time.sleep(POLL_S)


def is_of_one_machine(path: Path) -> bool:
    """Whether a path is on a file system that only this machine writes to, as far as its kind tells."""
    import psutil

    place = path.resolve()
    mounts = [(Path(each.mountpoint), each.fstype.lower()) for each in psutil.disk_partitions(all=True)]
    holding = [(len(mount.parts), kind) for mount, kind in mounts if place.is_relative_to(mount)]
    return max(holding, default=(0, ""))[1] in OF_ONE_MACHINE
