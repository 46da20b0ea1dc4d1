"""Scores by the names that configurations and results call them. The registry is open: the import
path of a function of one's own is a name, too.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tierexp.data.scores import count as counting
from tierexp.data.scores import mme as yes_no_pairs
from tierexp.data.scores import mmmu as exams
from tierexp.data.scores import multiple_choice as choices
from tierexp.data.scores import real_world_qa as real_world
from tierexp.data.scores.anls import anls
from tierexp.data.scores.exact_match import exact_match
from tierexp.data.scores.relaxed import relaxed
from tierexp.data.scores.vqa import vqa, vqa_thirds
from tierexp.errors import ConfigError

KEY = "data.score"
_OWN = (
    "or the import path of a function of a prediction and its answers, such as "
    "my_package.my_score, that Python finds"
)


@dataclass(frozen=True)
class Score:
    """How right an answer is.

    Args:
        name: What configurations and results call it.
        function: From (prediction, answers), and the options where `takes_options`, to a number in
            [0, 1]. Raises ValueError where it is not defined for such answers, whatever the
            prediction.
        takes_options: Whether the function has a third argument, `options`: the texts that A, B,
            ... stand for, none where a question has no letters.
        parses: From the same three to whether the prediction says anything that can be right or
            wrong; None where every text does.
        pairs_questions: Whether the published score needs both answers about an image, as MME's
            does (`tierexp.data.scores.mme.add_up`).
    """

    name: str
    function: Callable[..., float]
    takes_options: bool = False
    parses: Callable[[str, Sequence[str], Sequence[str]], bool] | None = None
    pairs_questions: bool = False

    def __call__(
        self, prediction: str, answers: Sequence[str], options: Sequence[str] = ()
    ) -> float:
        """How right a prediction is, in [0, 1].

        Args:
            prediction: What the model said.
            answers: Every accepted answer.
            options: The texts that A, B, ... stand for.

        Raises:
            ValueError: The score is not defined for such answers.
            ConfigError: A score of one's own fails, or returns no number in [0, 1].
        """
        given = (options,) if self.takes_options else ()
        if SCORES.get(self.name) is self:
            return self.function(prediction, answers, *given)
        return self._checked(prediction, answers, *given)

    def is_parsed(
        self, prediction: str, answers: Sequence[str], options: Sequence[str] = ()
    ) -> bool:
        """Whether a prediction can be right or wrong: a choice that is stated, a number.

        Args:
            prediction: As for a call.
            answers: As for a call.
            options: As for a call.
        """
        return self.parses is None or self.parses(prediction, answers, options)

    def _checked(self, *given: Any) -> float:
        try:
            value = self.function(*given)
        except ValueError:
            raise
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(KEY, self.name, f"a function that does not fail; {reason}") from error
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 <= number <= 1:  # nor is NaN
            raise ConfigError(KEY, self.name, f"a function that returns 0 to 1, not {value!r}")
        return number


SCORES: dict[str, Score] = {
    score.name: score
    for score in (
        Score("exact_match", exact_match),
        Score("vqa", vqa),
        Score("vqa_thirds", vqa_thirds),
        Score("anls", anls),
        Score("relaxed", relaxed),
        Score("multiple_choice", choices.multiple_choice, True, choices.is_parsed),
        Score("count", counting.count, parses=counting.is_parsed),
        Score("mmmu", exams.mmmu, True, exams.is_parsed),
        Score("real_world_qa", real_world.real_world_qa, True, real_world.is_parsed),
        Score("mme", yes_no_pairs.mme, parses=yes_no_pairs.is_parsed, pairs_questions=True),
    )
}


def find_score(value: object) -> Score:
    """The score that a configuration means.

    Args:
        value: A name in `SCORES`; the import path of a function of (prediction, answers) or
            (prediction, answers, options), or of a `Score`; or one of these itself, as Hydra makes
            it of a `_target_`.

    Raises:
        ConfigError: None of these.
    """
    if isinstance(value, Score):
        return value
    if isinstance(value, str) and value in SCORES:
        return SCORES[value]
    found = value
    if isinstance(value, str) and "." in value:
        found = _imported(value)
        if isinstance(found, Score):
            return found
    if not callable(found):
        raise ConfigError(KEY, value, f"one of {', '.join(SCORES)}; {_OWN}")
    return Score(value if isinstance(value, str) else _name(found), found, _takes_options(found))


def find_question_score(value: object) -> Score:
    """The same, of single questions.

    Args:
        value: As for `find_score`.

    Raises:
        ConfigError: Nothing of the kind, or a score that pairs questions.
    """
    score = find_score(value)
    if score.pairs_questions:
        names = ", ".join(name for name, each in SCORES.items() if not each.pairs_questions)
        raise ConfigError(KEY, score.name, f"a score of single questions: one of {names}; {_OWN}")
    return score


def _imported(path: str) -> object:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except Exception as error:  # whatever a module of somebody else's raises when it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(KEY, path, f"one of {', '.join(SCORES)}; {_OWN} ({reason})") from error


def _takes_options(function: Callable[..., Any]) -> bool:
    """Whether a function has a third argument for the options.

    Raises:
        ConfigError: It cannot be called with a prediction and its answers.
    """
    try:
        signature = inspect.signature(function)
        signature.bind("", ())
    except (TypeError, ValueError):
        try:
            inspect.signature(function).bind("", (), ())
        except (TypeError, ValueError):
            allowed = "a function of (prediction, answers) or (prediction, answers, options)"
            raise ConfigError(KEY, _name(function), allowed) from None
        return True
    return "options" in signature.parameters


def _name(function: Callable[..., Any]) -> str:
    """The import path of a function or a class's instance, and what a partial one is set to."""
    if isinstance(function, functools.partial):
        given = [*map(repr, function.args), *(f"{k}={v!r}" for k, v in function.keywords.items())]
        return f"{_name(function.func)}({', '.join(given)})"
    of = function if hasattr(function, "__qualname__") else type(function)
    return f"{of.__module__}.{of.__qualname__}"
