"""What an extra of fsarctl brings (`pip install "fsarctl[serve]"`), where it is not installed."""

import importlib.util

from fsarctl.errors import ConfigError

__all__ = ["require_extra"]


def require_extra(what: str, extra: str, *modules: str, otherwise: str = "") -> None:
    """Refuse ``what`` needs modules that ``extra`` installs; ``otherwise``: what else to do.

    Raises:
        ConfigError: one of them is not installed.
    """
    missing = [each for each in modules if importlib.util.find_spec(each) is None]
    if missing:
        raise ConfigError(
            f"{what} needs {missing[0]}, which is not installed",
            next_step=f'Run: pip install "fsarctl[{extra}]"{otherwise}',
        )
