"""Containers whose bytes are written here one by one, as no encoder at hand writes them."""

from pathlib import Path

import pytest

from fsarctl.video.container.first_bytes import content_of
from fsarctl.video.container.packet_heads import _messages
from fsarctl.video.container.truncation import _indexed_bytes, ending_of


def test_a_transport_stream_of_a_camcorder_is_known_by_its_content() -> None:
    """Each packet of 188 bytes has a time code of four before it (BDAV)."""
    packet = b"\x00\x01\x02\x03" + b"\x47" + bytes(range(1, 188))
    assert content_of(20 * packet).video
    assert not content_of(20 * packet[:-1]).video


@pytest.mark.parametrize("table", [b"", 2 * b"\x00\x40\x80", 256 * b"\x00\x40\x80"])
def test_pictures_of_a_gif_may_have_colours_of_their_own(tmp_path: Path, table: bytes) -> None:
    """GIF89a, sections 20 and 21: how long a table of colours is stands in three bits before it."""
    size = len(table).bit_length() - 3 if table else 0  # 6 bytes: 0, 768: 7
    flags = 0x80 | size if table else 0
    screen = b"GIF89a" + bytes([2, 0, 2, 0, 0, 0, 0])
    picture = b"," + bytes([0, 0, 0, 0, 2, 0, 2, 0, flags]) + table + b"\x02" + b"\x03\x44\x02\x05" + b"\x00"
    content = screen + 3 * picture + b";"
    path = tmp_path / "v.gif"
    path.write_bytes(content)
    assert ending_of(path, "gif").whole
    for missing in (1, len(picture) + 1, 4):
        path.write_bytes(content[:-missing])
        assert ending_of(path, "gif").whole is False


def test_messages_of_a_unit_end_before_its_last_byte() -> None:
    """ITU-T H.264, 7.3.2.3: after the messages is one byte 0x80, which is no type of another."""
    recovery_point = bytes([6, 1, 0x84])
    long = bytes([255, 45, 255, 2]) + bytes([1]) * 257
    assert _messages(b"\x06" + recovery_point + b"\x80") == {6}
    assert _messages(b"\x06" + recovery_point + bytes([5, 2, 7, 7]) + b"\x80") == {5, 6}
    assert _messages(b"\x06" + long + recovery_point + b"\x80") == {300, 6}
    assert _messages(b"\x4e\x01" + recovery_point + b"\x80") == {6}, "H.265 has two bytes before them"


@pytest.mark.parametrize("version", [0, 1])
def test_a_segment_index_says_how_far_its_fragments_go(version: int) -> None:
    """ISO/IEC 14496-12, 8.16.3: two numbers of 4 or 8 bytes, the second a distance; lengths of 31 bits."""
    wide = 4 + 4 * version
    head = bytes([version, 0, 0, 0]) + (1).to_bytes(4, "big") + (1000).to_bytes(4, "big")
    times = (7).to_bytes(wide, "big") + (0x010203).to_bytes(wide, "big")
    entries = b"".join(
        (length | of_index << 31).to_bytes(4, "big") + bytes(8) for length, of_index in ((500, 0), (70, 1))
    )
    content = head + times + b"\x00\x00" + (2).to_bytes(2, "big") + entries + bytes(12)
    assert _indexed_bytes(content) == 0x010203 + 570
