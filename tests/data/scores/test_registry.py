"""The registry of scores: what is in it, and a user's own."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest

from tests.support import own_scores
from tierexp.data.scores.registry import SCORES, find_question_score, find_score
from tierexp.errors import ConfigError

OWN = "tests.support.own_scores"


def test_every_score_has_a_name_and_stays_between_0_and_1() -> None:
    assert set(SCORES) == {
        "exact_match", "vqa", "vqa_thirds", "anls", "relaxed", "multiple_choice", "count", "mmmu",
        "real_world_qa", "mme",
    }  # fmt: skip
    assert {name for name, score in SCORES.items() if score.pairs_questions} == {"mme"}
    answers = {"vqa": ["1"] * 10, "vqa_thirds": ["1"] * 10, "mme": ["yes"]}
    for name, score in SCORES.items():
        right = answers.get(name, ["1", "1"])
        assert score(right[0], right) == 1.0
        assert score("purple", right) == 0.0
        assert score.name == name


@pytest.mark.parametrize("nothing", ["", " ", ".", "\n"])
def test_nothing_is_never_right(nothing: str) -> None:
    for name, score in SCORES.items():
        if name != "mme":  # whose answers are yes and no
            assert score(nothing, ["seven 7"] * 10 if name != "count" else ["7"]) == 0.0
    for name in ("exact_match", "relaxed", "vqa", "vqa_thirds", "real_world_qa", "mmmu"):
        assert SCORES[name](nothing, [nothing] * 10) == 0.0, name
    assert SCORES["anls"](nothing, [nothing]) == float(nothing == ".")  # it keeps punctuation
    assert SCORES["vqa"]("the", ["a"] * 10) == 0.0
    assert SCORES["vqa"]("", ["a"] * 10) == 0.0


def test_what_can_be_read() -> None:
    assert SCORES["count"].is_parsed("there are three", ["3"])
    assert not SCORES["count"].is_parsed("many", ["3"])
    assert SCORES["mme"].is_parsed("No.", ["yes"])
    assert not SCORES["mme"].is_parsed("maybe", ["yes"])
    assert SCORES["multiple_choice"].is_parsed("C, I think", ["B"], ["x", "y", "z"])
    assert not SCORES["multiple_choice"].is_parsed("B or C", ["B"], ["x", "y", "z"])
    assert SCORES["exact_match"].is_parsed("", ["x"])


def test_a_function_of_ones_own_is_named_by_its_path() -> None:
    score = find_score(f"{OWN}.starts_alike")
    assert score.name == f"{OWN}.starts_alike"
    assert (score("cat", ["car"]), score("cat", ["dog"])) == (1.0, 0.0)
    assert score.is_parsed("", ["x"])
    assert find_score(own_scores.starts_alike).name == f"{OWN}.starts_alike"


def test_one_that_asks_for_the_options_gets_them() -> None:
    score = find_score(f"{OWN}.knows_options")
    assert score("b", ["b"], ["a", "b"]) == 1.0
    assert score("b", ["b"], ["a"]) == 0.0


def test_one_with_settings_is_told_apart_by_them() -> None:
    score = find_score(functools.partial(own_scores.within, most=1))
    assert score.name == f"{OWN}.within(most=1)"
    assert (score("cat", ["cats"]), score("cat", ["kitten"])) == (1.0, 0.0)
    instance = find_score(own_scores.Within(3))
    assert instance.name == f"{OWN}.Within"
    assert instance("cat", ["kitten"]) == 1.0


def test_one_may_say_what_it_can_read() -> None:
    score = find_score(f"{OWN}.LONG")
    assert score is own_scores.LONG
    assert (score.is_parsed("four", []), score.is_parsed("two", [])) == (True, False)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("bleu", "one of exact_match, vqa"),
        (None, "one of exact_match, vqa"),
        (["anls"], "one of exact_match, vqa"),
        (f"{OWN}.nothing", "no attribute 'nothing'"),
        ("no_such_package.score", "No module named 'no_such_package'"),
        (".score", "ValueError"),
        (f"{OWN}.NOT_A_FUNCTION", "one of exact_match, vqa"),
        (f"{OWN}.of_one", "(prediction, answers)"),
    ],
)
def test_what_is_no_score_is_refused_in_one_line(value: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_score(value)
    assert str(caught.value).startswith(f"data.score={value!r}" if value else "data.score=None")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("in_percent", "returns 0 to 1, not 100.0"),
        ("of_nothing", "returns 0 to 1, not None"),
        ("broken", "KeyError: 'no such key'"),
    ],
)
def test_one_that_fails_is_refused_in_one_line(name: str, words: str) -> None:
    score = find_score(f"{OWN}.{name}")
    with pytest.raises(ConfigError) as caught:
        score("x", ["y"])
    assert words in str(caught.value)
    assert f"data.score='{OWN}.{name}'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_it_says_of_its_answers_passes() -> None:
    with pytest.raises(ValueError, match="answers in Latin"):
        find_score(f"{OWN}.picky")("x", ["y"])


def test_scores_of_pairs_are_no_scores_of_questions() -> None:
    assert find_question_score("anls").name == "anls"
    with pytest.raises(ConfigError, match=r"data\.score='mme'.*one of exact_match, vqa"):
        find_question_score("mme")


def test_scores_work_without_torch() -> None:
    code = "import sys, tierexp.data.scores.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
