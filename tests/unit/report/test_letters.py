"""Letters of any script in pictures, in fonts that are made here: each letter is a bar of its own height."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from PIL import Image, ImageDraw

from fsarctl.report import letters
from fsarctl.report.letters import Letters, missing_letters

JAPANESE, HINDI = {"走": 800, "る": 400}, {"द": 600, "\N{DEVANAGARI VOWEL SIGN AU}": 200}


def font_of(bars: dict[str, int], path: Path) -> str:
    """A font of 1,000 units an em in which each letter is a black bar, 900 wide, on the line."""
    glyphs = {".notdef": TTGlyphPen(None).glyph()}
    for letter, height in bars.items():
        pen = TTGlyphPen(None)
        pen.moveTo((50, 0))
        for corner in ((50, height), (950, height), (950, 0)):
            pen.lineTo(corner)
        pen.closePath()
        glyphs[f"u{ord(letter)}"] = pen.glyph()
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder([*glyphs])
    made.setupCharacterMap({ord(letter): f"u{ord(letter)}" for letter in bars})
    made.setupGlyf(glyphs)
    made.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupOS2()
    made.setupPost()
    made.save(path)
    return str(path)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The fonts that the system has: what a test puts there."""
    fonts: list[str] = []
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: fonts)

    def forget() -> None:
        letters._of_system.cache_clear()
        letters._font_with.cache_clear()
        letters._needed.clear()

    forget()
    yield fonts
    forget()


def heights(text: str) -> list[int]:
    """How high the ink is in the middle of each em of 50 pixels."""
    picture = Image.new("L", (50 * len(text), 100), 255)
    Letters(50).draw(ImageDraw.Draw(picture), (0, 0), text, "black")
    ink = np.asarray(picture) < 128
    return [int(ink[:, 50 * place + 25].sum()) for place in range(len(text))]


def test_each_letter_is_of_a_font_that_has_it(system: list[str], tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    system += [str(tmp_path / "broken.ttf"), str(tmp_path / "gone.otf"), str(tmp_path / "old.pfb")]
    system += [font_of(HINDI, tmp_path / "hindi.ttf"), font_of(JAPANESE, tmp_path / "japanese.ttf")]
    # of 50 pixels an em: 0.8, 0.4, 0.6 and 0.2 of it
    assert heights("走るदौ走") == pytest.approx([40, 20, 30, 10, 40], abs=1)
    assert Letters(50).length("走द走") == 150
    assert Letters(50).cut("走 " * 99, 50 * 12).endswith("...")
    assert missing_letters("走る दौ, run café Ж ج") == ""
    latin = Letters(50).length("run")
    assert Letters(50).length("run走") == latin + 50


def test_letters_that_no_font_has_are_named_with_what_to_install(system: list[str], tmp_path: Path) -> None:
    said = missing_letters("走る दौ run")
    assert said.startswith("no font here has 走, る, द, ौ (CJK, Hiragana, Devanagari), so boxes stand")
    assert "apt install fonts-noto-cjk fonts-noto-core," in said
    assert Letters(50).length("走") > 0
    assert missing_letters("run \N{ZERO WIDTH JOINER}\x07 café") == ""
    assert "stand for it in" in missing_letters("द")


def test_what_cannot_be_seen_is_drawn_as_an_escape(system: list[str]) -> None:
    """Raqm refuses to lay out ends of lines, of which a directory's name may have some."""
    for hidden in ("\n", "\r", "\x1c", "\x85", "\u2028", "\u2029", "\x1b[31m", "\u202e"):
        letters, name = Letters(12), f"a{hidden}b"
        escaped = name.encode("unicode_escape").decode()
        assert letters.length(name) == letters.length(escaped)
        assert letters.cut(name, 1000) == escaped
        letters.draw(ImageDraw.Draw(Image.new("RGB", (90, 30))), (5, 5), name, "black")
