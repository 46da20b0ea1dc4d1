"""A subset is fixed by its seed, and whole units are kept."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from tierexp.data.hub.subset import fixed_subset


def test_by_hand() -> None:
    ranked = sorted(range(9), key=lambda row: sha256(f"7:{row}".encode()).hexdigest())
    assert fixed_subset(range(9), 3, 7) == sorted(ranked[:3])
    assert fixed_subset(range(9), 3, None) == [0, 1, 2]
    assert fixed_subset(range(3), None, 7) == fixed_subset(range(3), 3, 7) == [0, 1, 2]


@given(
    st.lists(st.integers(0, 8), max_size=30),
    st.integers(1, 30),
    st.one_of(st.none(), st.integers(0, 2**40)),
)
def test_whole_units_at_most_so_many_and_nested(
    units: list[int], most: int, seed: int | None
) -> None:
    chosen = fixed_subset(units, most, seed)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= most
    kept = {units[row] for row in chosen}
    assert chosen == [row for row, unit in enumerate(units) if unit in kept]
    assert set(chosen) <= set(fixed_subset(units, most + 1, seed))


def test_every_row_is_as_likely_as_another() -> None:
    """Of 2000 subsets of 3 in 10, a row is in 600, with a standard deviation of 20."""
    times = [0] * 10
    for seed in range(2000):
        for row in fixed_subset(range(10), 3, seed):
            times[row] += 1
    assert all(500 < count < 700 for count in times)
