"""The size of a plain JPEG from its first bytes, without opening it as a picture.

In: how a file begins. Out: a size, or nothing where only a full reader knows. Does not judge files:
whatever is unusual, damaged, turned or longer than what was read is left to Pillow.

Source: ITU-T T.81 (the JPEG standard), annex B.
"""

from __future__ import annotations

_START = b"\xff\xd8\xff"
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_SCAN = 0xDA
_SKIPPED = frozenset(
    # Tables, restart interval, comment, and what applications add, but for APP1: EXIF and XMP say
    # which way up a picture is.
    [0xC4, 0xDB, 0xDD, 0xFE, *(marker for marker in range(0xE0, 0xF0) if marker != 0xE1)]
)


def plain_jpeg_size(head: bytes) -> tuple[int, int] | None:
    """(height, width) of a JPEG of 8 bits without EXIF or XMP, whose header ends within `head`.

    Args:
        head: The first bytes of a file of any kind.

    Returns:
        The size in pixels, or None where the file is anything else.
    """
    if not head.startswith(_START):
        return None
    size = None
    place = 2
    while place + 4 <= len(head) and head[place] == 0xFF:
        marker, length = head[place + 1], int.from_bytes(head[place + 2 : place + 4])
        end = place + 2 + length
        if length < 2 or end > len(head):
            return None
        if marker == _SCAN:
            return size
        if marker in _FRAMES:
            bits, components = head[place + 4], head[place + 9] if length >= 8 else 0
            height = int.from_bytes(head[place + 5 : place + 7])
            width = int.from_bytes(head[place + 7 : place + 9])
            # A second frame, or a height that is only known at the end.
            if size is not None or bits != 8 or components not in (1, 3) or not height * width:
                return None
            size = height, width
        elif marker not in _SKIPPED:
            return None
        place = end
    return None
