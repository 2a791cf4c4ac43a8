"""What a store gives to others and takes from them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fsarctl.artifacts.cache_layout import KEY_DIGITS, Shelf
from fsarctl.artifacts.manifest import Artifact
from fsarctl.artifacts.removal import require_there
from fsarctl.artifacts.sharing.leases import Leases
from fsarctl.artifacts.sharing.projects import Projects
from fsarctl.artifacts.transfer.archive import export_archive, import_archive
from fsarctl.artifacts.transfer.remote import Remote, RemoteError
from fsarctl.errors import ConfigError, FsarctlError, InputError, IntegrityError

__all__ = ["Transfers"]


class Transfers:
    """Transfers of one store; ``address`` is that of its remote folder, "" if it has none.

    What is given is the caller's to verify, see ``Store.checked``; what is taken is verified here.
    """

    def __init__(self, shelf: Shelf, projects: Projects, leases: Leases, address: str = "") -> None:
        self._shelf = shelf
        self._projects = projects
        self._leases = leases
        self._address = address
        self._remote: Remote | None = None
        self._unreached = False
        self._asked: set[tuple[str, str]] = set()

    def push(self, whole: Sequence[Artifact], address: str = "", *, again: bool = False) -> int:
        """Send these to the remote folder, or the one at ``address``; how many were not there.

        Raises:
            ConfigError, InputError: there is no remote folder, or it cannot be reached.
            UpstreamError: one of them vanished meanwhile.
        """
        far = self._far(address)
        with self._held(whole, f"a copy at {far.name}", "cache push"):
            return far.push(whole, self._shelf.reporter, again=again)

    def pull(self, beginning: str = "", address: str = "") -> tuple[list[Artifact], int]:
        """Bring what the remote folder, or the one at ``address``, has of keys that begin like this.

        Gives what is new, and how many there are in it.

        Raises:
            ConfigError, InputError: there is no remote folder, it cannot be reached, or has no such artifact.
            IntegrityError: something there has other bytes than it should; it is not used.
        """
        far = self._far(address)
        keys = [each for each in far.listing() if each[1].startswith(beginning[:KEY_DIGITS])]
        if not keys and beginning:
            raise InputError(
                f"{far.name} has no artifact whose key begins with {beginning!r}",
                next_step="Give no key, for all that it has; or another --remote.",
            )
        if not keys:
            self._shelf.reporter.note(f"warning: {far.name} has no artifact")
            return [], 0
        brought = []
        with self._shelf.reporter.task("pull", len(keys), "artifact") as advance:
            for stage, key in keys:
                brought.append(far.pull(self._shelf, stage, key, self._projects.claim))
                advance()
        return [each for each in brought if each is not None], len(keys)

    def fetch(self, stage: str, key: str) -> None:
        """Bring one artifact if it was finished elsewhere; a remote that fails is said, and done without."""
        done = not self._address or self._unreached or (stage, key) in self._asked
        if done or self._shelf.home(stage, key).is_dir():
            return
        self._asked.add((stage, key))
        try:
            brought = self._far().pull(self._shelf, stage, key, self._projects.claim)
        except (RemoteError, IntegrityError) as error:
            self._unreached = isinstance(error, RemoteError)
            self._shelf.reporter.note(f"warning: {error.message}; it is made here")
            return
        if brought is not None:
            self._shelf.reporter.note(f"{brought.manifest.slot}: brought from {self._far().name}")

    def export(self, whole: Sequence[Artifact], path: Path) -> None:
        """Write these to one file.

        Raises:
            InputError: it cannot be written.
            UpstreamError: one of them vanished meanwhile.
        """
        with self._held(whole, f"a copy in {path}", "cache export"):
            export_archive(whole, path, self._shelf.reporter)

    def take_in(self, path: Path) -> tuple[list[Artifact], int]:
        """Bring what a file of :meth:`export` holds; gives what is new, and how many were here.

        Raises:
            InputError: it cannot be read, or there is no room for it.
            IntegrityError: it is damaged, or no such file.
        """
        return import_archive(path, self._shelf, self._shelf.reporter, self._projects.claim)

    @contextmanager
    def _held(self, whole: Sequence[Artifact], what: str, verb: str) -> Iterator[None]:
        """While these are read, to make ``what`` with the command ``verb``, `gc` leaves them.

        Raises:
            UpstreamError: one of them is gone, or goes meanwhile.
        """

        def require() -> None:
            require_there(whole, self._shelf, f"{what} was being made", f"fsarctl {verb}")

        with self._leases.hold() as lease:
            with suppress(OSError):  # who may only read a cache makes no note in it
                lease.take(what, [each.path for each in whole])
            require()
            try:
                yield
            except FsarctlError:
                require()  # which says more
                raise

    def _far(self, address: str = "") -> Remote:
        if address:
            return Remote(address)
        if not self._address:
            raise ConfigError(
                "there is no remote cache",
                next_step="Name one: --remote s3://bucket/folder, or [cache] remote in fsarctl.toml.",
            )
        self._remote = self._remote or Remote(self._address)
        return self._remote
