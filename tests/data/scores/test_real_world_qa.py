"""RealWorldQA: short answers after VQA's processing, options by letter."""

from __future__ import annotations

from tierexp.data.scores.real_world_qa import is_parsed, real_world_qa


def test_short_answers_are_processed() -> None:
    assert real_world_qa("two", ["2"]) == 1.0
    assert real_world_qa("Yes.", ["yes"]) == 1.0
    assert real_world_qa("the left lane", ["Left lane"]) == 1.0
    assert real_world_qa("3", ["2"]) == 0.0
    assert real_world_qa("the", ["a"]) == 0.0  # nothing is left of either


def test_options_are_chosen_by_letter_and_never_by_chance() -> None:
    options = ["Left", "Straight", "Right"]
    assert real_world_qa("B", ["B"], options) == 1.0
    assert real_world_qa("It goes straight ahead.", ["B"], options) == 1.0
    # Molmo's evaluation takes the letter of the least edit distance: here A, whatever was said.
    assert real_world_qa("nowhere", ["A"], options) == 0.0
    assert not is_parsed("nowhere", ["A"], options)
    assert is_parsed("nowhere", ["2"])
