"""VQA consensus accuracy: how many of ten annotators agree. The official score, `vqa`, leaves each
of them out in turn; Molmo's papers report `vqa_thirds`, which does not.

Antol et al., "VQA: Visual Question Answering" (ICCV 2015), section 5, and visualqa.org/evaluation:
an answer that three other annotators gave is right, and texts are processed before they are
compared. The processing is that of the official code, whose lists and rules are followed where the
page is vaguer: what happens to punctuation depends on the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

FEWEST_ANSWERS = 4
"""With fewer, three others cannot agree, and not even what all of them say would be right."""

_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
} | {"none": "0"}
_ARTICLES = ("a", "an", "the")
# The official list: no apostrophe, for possessives, no colon, for times, and neither $ nor %.
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
    haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't
    mightn't've must've mustn't needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
    shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
    someone's something'd something'd've something'll that's there'd there'd've there're there's
    they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're
    what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're
    why's won't would've wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're
    you've
"""


def _lacking_an_apostrophe(word: str) -> list[str]:
    return [word[:place] + word[place + 1 :] for place, letter in enumerate(word) if letter == "'"]


_CONTRACTIONS = {
    lacking: word for word in _CONTRACTED.split() for lacking in _lacking_an_apostrophe(word)
} | {"somebody'd": "somebodyd"}  # the other way round in the official list
"""What lacks one apostrophe, to the contraction it stands for. Words of another meaning are not in
the official list (`ill`, `shell`, `well`, `wed`, `lets`), and those with a capital I in it, which
can never be met after lowering, are not here.
"""


@lru_cache(maxsize=1 << 16)  # people answer "yes" a lot
def normalise_vqa(text: str) -> str:
    """A text as VQA compares it.

    Punctuation becomes a space, or nothing where any of that mark stands beside a space, or where
    a comma stands between digits anywhere in the text. A period goes unless a digit follows. Then
    words: lower case, numbers to ten as digits, articles dropped, apostrophes of contractions
    restored.

    Args:
        text: An answer or a prediction.
    """
    text = re.sub(r"[\n\t]", " ", text).strip()
    number = _COMMA_IN_NUMBER.search(text) is not None
    kept = text
    for mark in _PUNCTUATION:
        alone = f"{mark} " in text or f" {mark}" in text
        kept = kept.replace(mark, "" if alone or number else " ")
    words = (_NUMBERS.get(word, word) for word in _PERIOD.sub("", kept).lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def vqa(prediction: str, answers: Sequence[str]) -> float:
    """The mean, over the annotators, of min(agreeing others / 3, 1).

    Of ten answers 0, 1, 2, 3, 4 that agree score 0, 0.3, 0.6, 0.9, 1. Both sides are always
    normalised, as the definition has it; the official code skips that where the annotators'
    texts are all the same, and would call "Yes." wrong there. A prediction of which nothing is left
    is never right.

    Args:
        prediction: What the model said.
        answers: One per annotator, repeated where they agree; ten in the official data.

    Returns:
        In [0, 1].

    Raises:
        ValueError: Fewer than four answers.
    """
    _refuse_too_few(answers)
    agree = _agreement(prediction, answers)
    # Whole numbers as long as possible: four who agree are exactly 1.
    thirds = sum(min(sum(agree) - agrees, 3) for agrees in agree)
    return thirds / (3 * len(answers))


def vqa_thirds(prediction: str, answers: Sequence[str]) -> float:
    """min(agreeing annotators / 3, 1): the figure of Molmo's papers, and of many others.

    Of ten answers 0, 1, 2, 3 that agree score 0, 1/3, 2/3, 1, where `vqa` gives 0, 0.3, 0.6, 0.9.

    Args:
        prediction: What the model said.
        answers: As for `vqa`.

    Returns:
        In [0, 1].

    Raises:
        ValueError: Fewer than four answers.
    """
    _refuse_too_few(answers)
    return min(sum(_agreement(prediction, answers)), 3) / 3


def _agreement(prediction: str, answers: Sequence[str]) -> list[bool]:
    """Whether each annotator says what the prediction says; nobody where it says nothing."""
    said = normalise_vqa(prediction)
    return [bool(said) and said == normalise_vqa(answer) for answer in answers]


def _refuse_too_few(answers: Sequence[str]) -> None:
    if len(answers) < FEWEST_ANSWERS:
        raise ValueError(
            f"one answer per annotator, ten as a rule and at least {FEWEST_ANSWERS}, "
            f"not {len(answers)}"
        )
