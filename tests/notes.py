"""A reporter that tests look into."""

from fsarctl.progress import SILENT

__all__ = ["Notes"]


class Notes:
    """A reporter that keeps its remarks in ``said``, and draws no bar."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.task = SILENT.task

    def note(self, message: str) -> None:
        self.said.append(message)
