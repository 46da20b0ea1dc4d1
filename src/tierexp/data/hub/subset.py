"""A fixed random subset of rows, the same on every machine.

In: which rows belong together, how many to keep, a seed. Out: row numbers. Ranks by SHA-256, so
that no version of a random generator decides; a larger subset of one seed contains the smaller.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from hashlib import sha256


def fixed_subset(units: Sequence[Hashable], most: int | None, seed: int | None) -> list[int]:
    """Choose rows, whole units of them, at most so many.

    Args:
        units: One key a row; rows of equal keys are kept or left out together.
        most: Rows to keep; None keeps all.
        seed: Seed of the order in which units are taken; None takes the first ones.

    Returns:
        Row numbers, ascending; none where the first unit has too many.
    """
    if most is None or most >= len(units):
        return list(range(len(units)))
    members: dict[Hashable, list[int]] = {}
    for row, unit in enumerate(units):
        members.setdefault(unit, []).append(row)
    groups = list(members.values())
    if seed is not None:
        order = sorted(range(len(groups)), key=lambda place: _rank(seed, place))
        groups = [groups[place] for place in order]
    chosen: list[int] = []
    for rows in groups:
        if len(chosen) + len(rows) > most:
            break
        chosen += rows
    return sorted(chosen)


def _rank(seed: int, place: int) -> bytes:
    return sha256(f"{seed}:{place}".encode()).digest()
