"""Numbers with their nouns."""

__all__ = ["counted"]


def counted(number: int, noun: str, ending: str = "s") -> str:
    """The number and its noun, in the plural but for one: "1 clip", "1,234 clips"."""
    return f"{number:,} {noun}{'' if number == 1 else ending}"
