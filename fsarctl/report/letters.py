"""Text in pictures, in any script: each letter in the first font that has it.

DejaVu Sans comes with matplotlib and has Latin, Greek, Cyrillic, Arabic and Hebrew letters; for others, such
as Japanese or Hindi, the fonts of the system are looked through. What no font has is named, with what to
install. Pillow shapes each piece (Arabic joins, and runs from right to left) where it comes with Raqm. What
cannot be seen is drawn as it is printed, as an escape.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from fsarctl.errors.shown import escaped
from fsarctl.progress import first_of

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

__all__ = ["Letters", "missing_letters"]

PACKAGES = {
    **dict.fromkeys(("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"), "fonts-noto-cjk"),
    **dict.fromkeys(("YI", "EGYPTIAN", "CUNEIFORM"), "fonts-noto-extra"),
}
"""First word of a letter's Unicode name -> Debian's and Ubuntu's fonts with it; others are in noto-core."""
SHOWN = 5
KINDS = (".ttf", ".otf", ".ttc")


class Letters:
    """A size and weight of text."""

    def __init__(self, size: int, *, bold: bool = False) -> None:
        self._size = size
        self._bold = bold

    def length(self, text: str) -> float:
        """Pixels from left to right."""
        return sum(font.getlength(piece) for piece, font in self._pieces(text))

    def cut(self, text: str, width: float) -> str:
        """The text on one line, or as much of it as there is room for."""
        text = " ".join(escaped(text).split())
        if self.length(text) <= width:
            return text
        while text and self.length(f"{text}...") > width:
            text = text[:-1]
        return f"{text}..." if text else ""

    def draw(
        self, picture: "ImageDraw", place: tuple[float, float], text: str, colour: str, anchor: str = "la"
    ) -> None:
        """Write it on a picture; ``anchor`` is as Pillow's, of one line, its first letter "l" or "m"."""
        left, top = place
        if anchor[0] == "m":
            left -= self.length(text) / 2
        if anchor[1] == "a":  # different fonts stand on one line
            anchor, top = "ls", top + self._font(_dejavu(bold=self._bold)).getmetrics()[0]
        for piece, font in self._pieces(text):
            picture.text((left, top), piece, colour, font=font, anchor=f"l{anchor[1]}")
            left += font.getlength(piece)

    def _pieces(self, text: str) -> Iterator[tuple[str, "FreeTypeFont"]]:
        text = escaped(text)  # Raqm lays out no ends of lines
        place = 0
        for path, letters in groupby(_fonts_of(text, bold=self._bold)):
            end = place + len([*letters])
            yield text[place:end], self._font(path)
            place = end

    def _font(self, path: str) -> "FreeTypeFont":
        return _opened(path, self._size)


def missing_letters(text: str) -> str:
    """Which letters of a text no font has, and what to install; "" if all can be drawn."""
    missing = [letter for letter in dict.fromkeys(text) if _is_seen(letter) and _font_with(letter) is None]
    if not missing:
        return ""
    scripts = dict.fromkeys(unicodedata.name(letter, "?").split()[0] for letter in missing)
    packages = dict.fromkeys(PACKAGES.get(script, "fonts-noto-core") for script in scripts)
    called = ", ".join("CJK" if script == "CJK" else script.title() for script in scripts)
    return (
        f"no font here has {first_of(missing, SHOWN)} ({called}), so boxes stand for"
        f" {'it' if len(missing) == 1 else 'them'} in the picture; for example Noto's fonts have all: apt"
        f" install {' '.join(packages)}, or put a font file into ~/.local/share/fonts"
    )


def _is_seen(letter: str) -> bool:
    return not letter.isspace() and unicodedata.category(letter)[0] != "C"


def _fonts_of(text: str, *, bold: bool) -> list[str]:
    """The font of each letter; marks and spaces stay with the letter before them."""
    first = _dejavu(bold=bold)
    fonts: list[str] = []
    for letter in text:
        before = fonts[-1] if fonts else first
        is_mark = unicodedata.category(letter)[0] == "M"
        if not _is_seen(letter) or (is_mark and ord(letter) in _charset(before)):
            fonts.append(before)
        else:
            fonts.append(first if ord(letter) in _charset(first) else _font_with(letter) or first)
    return fonts


@cache
def _font_with(letter: str) -> str | None:
    """The first font that has a letter: DejaVu's, one that was needed before, or another of the system."""
    code = ord(letter)
    ours = _dejavu(bold=False)
    for path in (ours, *_needed, *_of_system()):
        if code in _charset(path):
            if path != ours:
                _needed[path] = None
            return path
    return None


_needed: dict[str, None] = {}


@cache
def _of_system() -> tuple[str, ...]:
    """Upright ones of ordinary weight first, then by name."""
    from matplotlib import font_manager

    styled = ("bold", "italic", "oblique", "mono", "black", "light", "thin")
    found = [path for path in font_manager.findSystemFonts() if path.lower().endswith(KINDS)]
    return tuple(sorted(found, key=lambda path: (any(each in path.lower() for each in styled), path)))


@cache
def _charset(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError, ValueError):  # a font that FreeType cannot read
        return frozenset()


@cache
def _opened(path: str, size: int) -> "FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.truetype(path, size)


def _dejavu(*, bold: bool) -> str:
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", name))
