"""Artifacts in a folder that others reach too: S3, GCS, SSH or a path, by fsspec.

    files/<2 digits>/<sha256>                                  the content of a file, whatever it is called
    artifacts/<stage>/<20 digits of the key>/manifest.json     written last: no manifest, no artifact

A file's name is what its bytes have to be, so two who write the same one do no harm, what is there is not
sent again, and what is brought is compared before it is used.
"""

import re
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from fsarctl.artifacts.cache_layout import KEY_DIGITS, Shelf
from fsarctl.artifacts.manifest import MANIFEST, Artifact, Stored
from fsarctl.artifacts.transfer.arrival import AT_ONCE, MOST_MANIFEST, Claim, parts_of, receive, unclaimed
from fsarctl.errors import ConfigError, FsarctlError, InputError, IntegrityError
from fsarctl.errors.addresses import hidden, public_address
from fsarctl.progress import Reporter

__all__ = ["Remote", "RemoteError"]

TRIES = 3
WHOLE_WRITES = ("s3", "s3a", "gs", "gcs", "abfs", "az", "memory")
"""Where a file that is being sent is not there until it is whole; elsewhere it is renamed then."""
CHUNK = 2**20
MISSPELT = re.compile(r"[A-Za-z0-9]{2,}:/(?!/)")
"""An address that lacks a slash, of which a path would make a folder called "s3:"."""


class RemoteError(InputError):
    """The remote folder cannot be reached, or refuses."""


class Remote:
    """A folder of artifacts at ``address``, such as ``s3://bucket/cache``, ``ssh://host/cache`` or a path.

    Raises:
        ConfigError: no such kind of address is known, or the package for it is not installed.
        RemoteError: it cannot be reached, or refuses; some kinds (ssh, ftp) ask at once.
    """

    def __init__(self, address: str) -> None:
        import fsspec
        from fsspec.core import url_to_fs

        if MISSPELT.match(address):
            raise ConfigError(
                f"{address!r} is neither an address nor a path",
                next_step=f"Write {address.replace(':/', '://', 1)}; or ./{address} for a folder called so.",
            )
        self.name = public_address(address) if "://" in address else address
        with self._reached():
            try:
                self._files, root = url_to_fs(address)
            except (ValueError, ImportError) as error:
                raise ConfigError(
                    f"{self.name} cannot be used as a remote cache: {hidden(str(error))}",
                    next_step=_package(address) or "Name a path, or an address such as s3://bucket/folder.",
                ) from None
        protocol = fsspec.core.split_protocol(address)[0] or "file"
        self._whole_writes = protocol in WHOLE_WRITES
        self._root = str(root).rstrip("/")

    def push(self, artifacts: Sequence[Artifact], reporter: Reporter, *, again: bool = False) -> int:
        """Send whole artifacts; how many were not there. What is there is sent once more only if ``again``.

        Raises:
            RemoteError: it cannot be reached, or refuses; what was sent whole is not sent twice.
        """
        new = 0
        with (
            reporter.task("push", len(artifacts), "artifact") as advance,
            ThreadPoolExecutor(AT_ONCE) as pool,
        ):
            for each in artifacts:
                place = self._manifest(each.manifest.stage, each.key)
                if again or self._size(place) is None:
                    parts = parts_of(each.manifest)
                    paths = [each.path / name for name in parts]
                    for _ in pool.map(partial(self._send, again=again), paths, parts.values()):
                        pass
                    with self._reached():
                        self._put(each.path / MANIFEST, place)
                    new += 1
                advance(1, each.manifest.slot)
        return new

    def pull(self, shelf: Shelf, stage: str, key: str, claim: Claim = unclaimed) -> Artifact | None:
        """Bring the artifact of a key; None if it is not there, or is in the ``shelf`` already.

        ``claim``: see ``receive``.

        Raises:
            RemoteError: it cannot be reached, or refuses.
            IntegrityError: something in it has other bytes than it should; it is not used.
        """
        place = self._manifest(stage, key)
        size = self._size(place)
        if size is None:
            return None
        if size > MOST_MANIFEST:
            raise IntegrityError(f"{self.name}: {place} is no manifest", next_step="Remove it there.")
        with self._reached():
            raw: bytes = self._files.cat_file(place, end=size)
        return receive(shelf, raw, self.name, self._fetch, claim)

    def listing(self) -> list[tuple[str, str]]:
        """Stage and first digits of the key of every artifact there.

        Raises:
            RemoteError: it cannot be reached, or refuses.
        """
        with self._reached():
            self._files.invalidate_cache()
            found = self._files.glob(f"{self._root}/artifacts/*/*/{MANIFEST}")
        return sorted((path.split("/")[-3], path.split("/")[-2]) for path in found)

    def _manifest(self, stage: str, key: str) -> str:
        return f"{self._root}/artifacts/{stage}/{key[:KEY_DIGITS]}/{MANIFEST}"

    def _file(self, sha256: str) -> str:
        return f"{self._root}/files/{sha256[:2]}/{sha256}"

    def _size(self, place: str) -> int | None:
        """In bytes; None where nothing is.

        Raises:
            IntegrityError: a pipe is, or a device, of which nobody knows when it ends.
        """
        with self._reached():
            try:
                self._files.invalidate_cache()
                found = self._files.info(place)
            except FileNotFoundError:
                return None
        if found["type"] == "other":
            raise IntegrityError(f"{self.name}: {place} is no file", next_step="Remove it there.")
        return int(found["size"])

    def _send(self, path: Path, expected: Stored, *, again: bool) -> None:
        place = self._file(expected.sha256)
        if again or self._size(place) != expected.bytes:
            with self._reached():
                self._put(path, place)

    def _put(self, path: Path, place: str) -> None:
        if self._whole_writes:
            _try_again(lambda: self._files.put_file(str(path), place))
            return
        unfinished = f"{place}.{uuid.uuid4().hex[:8]}.partial"
        self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
        try:
            _try_again(lambda: self._files.put_file(str(path), unfinished))
            self._files.mv(unfinished, place)
        except BaseException:
            with suppress(Exception):
                self._files.rm_file(unfinished)
            raise

    def _fetch(self, _name: str, expected: Stored, target: Path) -> None:
        """Bring one file, and no more bytes of it than it should have."""
        place = self._file(expected.sha256)
        if not self._whole_writes:  # where there are others than files
            self._size(place)

        def bring() -> None:
            with self._files.open(place, "rb", block_size=4 * CHUNK) as source, target.open("wb") as file:
                left = expected.bytes
                while left >= 0 and (piece := source.read(min(CHUNK, left + 1))):
                    file.write(piece[:left])
                    left -= len(piece)

        with self._reached():
            _try_again(bring)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """What fsspec's many file systems raise, as one error without secrets.

        Raises:
            RemoteError: see there.
        """
        try:
            yield
        except FsarctlError:
            raise
        except FileNotFoundError as error:
            raise RemoteError(
                f"{self.name} has a part of an artifact only: {_short(error)} is missing",
                next_step="Send it again from where it was made: fsarctl cache push --again",
            ) from None
        except PermissionError:
            raise RemoteError(
                f"{self.name} refuses these credentials",
                next_step="Check them (for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or ~/.aws), and what"
                " they may do there.",
            ) from None
        except Exception as error:  # botocore, aiohttp, gcsfs, paramiko, ...: they have no base in common
            if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
                raise RemoteError(
                    f"there are no credentials for {self.name}",
                    next_step="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write ~/.aws/credentials.",
                ) from None
            raise RemoteError(
                f"{self.name} cannot be reached: {type(error).__name__}",
                next_step="Check the address and the network, and run the same command again: what was sent"
                " or brought whole is kept.",
            ) from error


def _try_again(work: Any) -> None:
    """Run ``work``, which a dropped connection may have ended, some times; what is refused stays refused."""
    for tried in range(1, TRIES + 1):
        try:
            work()
            return
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            raise
        except Exception:
            if tried == TRIES:
                raise


def _short(error: OSError) -> str:
    return hidden(str(error.filename or error).rpartition("/")[2][:20])


def _package(address: str) -> str:
    """How to install what an address needs."""
    protocol = address.partition("://")[0]
    packages = {"s3": "fsarctl[s3]", "s3a": "fsarctl[s3]", "gs": "gcsfs", "gcs": "gcsfs"}
    packages |= {"ssh": "paramiko", "sftp": "paramiko", "abfs": "adlfs", "az": "adlfs"}
    return f'Install what it needs: pip install "{packages[protocol]}"' if protocol in packages else ""
