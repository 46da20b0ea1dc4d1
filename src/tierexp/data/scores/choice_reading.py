"""Which option a model chooses, read off what it says; None where it does not say.

In: an answer, short or talkative, and the options. Out: the option, by the letter that the answer
states or by the text that it gives. What is read first: a boxed answer, a letter alone, an
option's text alone, a letter after words such as "the answer is", a letter that the answer begins
with, the one letter that it names, the one option whose text it names. The order is that of MMMU's
evaluation code (Yue et al., CVPR 2024) where that has one. Unlike there, an article is no letter A,
what is named to be ruled out is not chosen, and nothing is ever guessed.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tierexp.data.scores.exact_match import normalise_answer

LETTERS = string.ascii_uppercase
_NEAR = 80
"""Characters before a letter that can say what it is."""

_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_LATEX = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mathsf)\s*\{([^{}]*)\}")
_MARKUP = re.compile(r"\*+|`+|__+|^#+\s*", re.MULTILINE)
_ANSWER_TAG = re.compile(r"<(?:answer|final)>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z]\w+/?>")
_ARROW = re.compile(r"^\s*(?:=>|->|→)")
_STRAIGHT = str.maketrans(
    "\u201c\u201d\u2018\u2019\u00a0\u3000\u3001\u3002\u300c\u300d\u300e\u300f\u3010\u3011",
    '""\'\'  ,.""""[]',
) | {0xFF01 + number: 0x21 + number for number in range(94)}
"""Quotes, blanks and brackets as ASCII has them, full-width letters and signs among them."""
_ANSWER_CUE = re.compile(r"(?<=[是为為选選项項案は])([A-Z])(?=[でだ]|(?!\w))")
"""Chinese and Japanese words that a letter follows with no blank; `维生素C` is a vitamin."""
_SMALL_LABEL = re.compile(
    r"\b(?:option|choice|letter)\s+[a-z](?=\s*(?:[.,;:!)\n]|$)"
    r"|\s+(?:is|was|would|must|should|seems|looks|appears)\b)",
    re.IGNORECASE,
)
"""`option c`: a small letter that can be nothing else."""

_OPEN, _CLOSE = "[(\\[{\"'<]", "[)\\]}\"'>]"
_ENCLOSED = rf"(?<!\w){_OPEN}\s?([A-Za-z])\s?{_CLOSE}"
_BARE = r"(?<![\w'./&+°$^\\-])([A-Z])(?![\w'&+#/°^]|-\w|\.\w)"
_MARK = re.compile(rf"{_ENCLOSED}|{_BARE}")
_AT_END = r"(?<![\w'])([a-z])(?=\s*(?:[.,;:!)\n]|$))(?!\.\w)"
"""A small letter counts after a cue alone, and only where nothing could follow an article."""

_FILL = (
    r"(?:(?:most |very )?(?:likely|probably|clearly|definitely|certainly|simply|indeed|option|"
    r"choice|letter|answer|the|number|to be|that|it|is|be|of)\b|[:=>\s]|->){0,12}"
)
_NOUN = (
    r"\b(?:(?:answer|solution|selection|pick|guess|response|conclusion)|"
    r"(?:correct|right|best|final|my|chosen|likely|suitable|appropriate)\s+(?:option|choice))\b"
)
_OPTION = r"\b(?:option|choice)\b"
_IS = r"\b(?:is|be|was|are)\b"
_LINK = r"(?:\b(?:is|be|was|are)\b|[:=]|->|→)"
_SO = r"(?:\b(?:so|therefore|thus|hence)\b,?)"
_VERB = (
    r"\b(?:choose|chose|pick|select|go with|going with|went with|opt for|say|guess|settle on|"
    r"vote for|conclude)\b"
)
_CUES = (
    re.compile(rf"{_NOUN}(?P<between>[^.\n;!?]{{0,80}}?){_LINK}{_FILL}", re.IGNORECASE),
    # Not a colon: "let us look at each option: A. ..." only begins a list.
    re.compile(rf"{_OPTION}(?P<between>[^.\n;!?]{{0,80}}?){_IS}{_FILL}", re.IGNORECASE),
    re.compile(rf"(?P<between>){_VERB}{_FILL}", re.IGNORECASE),
    re.compile(rf"(?P<between>){_SO}\s{_FILL}", re.IGNORECASE),
)
_AFFIRMED = re.compile(
    r"\s*(?:is|are|was|would be|must be|should be|seems|appears|looks)\s+(?:to be\s+)?"
    r"(?:clearly\s+|definitely\s+)?(?:the\s+|my\s+|most\s+|best\s+|likely\s+|only\s+)*"
    r"(?:correct|right|answer|best|accurate|likely|appropriate|choice|true|option|one)\b",
    re.IGNORECASE,
)

_BEFORE_DENIED = re.compile(
    r"(?:\bnot|n't|\bnever|\bneither|\bnor|\bthan|\binstead of|\bexcept(?: for)?|\bunlike|"
    r"\b(?:eliminat|exclud|reject|discard|dismiss)(?:e|es|ed|ing|s)?|\brul(?:e|es|ed|ing) out|"
    r"\bversus|\bvs\.?)"
    r"(?:\s+(?:the|option|options|choice|choices|answer|be|letter|both|a|an|for|is|case))*"
    r"[\s\"'(\[]*$",
    re.IGNORECASE,
)
_AFTER_DENIED = re.compile(
    r"[\s,]*(?:(?:and|or|,)\s*[(\"\[]?[A-Z][)\"\]]?\s+)*"
    r"(?:(?:is|are|was|were|can|could|would|does|do|did|has|have|seems?|looks?|must|should)\s*"
    r"(?:all\s+|both\s+|be\s+|clearly\s+|also\s+)*"
    r"(?:not\b|n't|wrong|incorrect|false|eliminated|ruled out|excluded|rejected|too\b|"
    r"impossible|unlikely|irrelevant)|(?:isn|aren|wasn|doesn|don|can|couldn|wouldn)'t\b|cannot\b)",
    re.IGNORECASE,
)
_JOINED = re.compile(r"\s*(?:,\s*(?:or|and)\b|,|/|&|\bor\b|\band\b|\s)\s*", re.IGNORECASE)
_OR = re.compile(r"\s*,?\s*(?:/|&|\bor\b|\band\b)\s*", re.IGNORECASE)
_LABELLED = re.compile(
    r"\b(?:vitamins?|hepatitis|fig(?:ure)?s?\.?|tables?|exhibits?|appendix|sections?|chapters?|"
    r"types?|class|schedules?|equations?|eq\.?)\s+$",
    re.IGNORECASE,
)
_AMONG_NUMBERS = re.compile(r"(?:\d\s*|[=+*/^<>\u00d7]\s*)$")
_BEFORE_OPERATOR = re.compile(r"\s*[=+*/^<>\u00d7]")
_NO_ARTICLE = re.compile(
    r"\s+(?:is|was|are|were|because|since|as|for|and|or|but|so|in|at|on|due|given|based|would|"
    r"should|must|could|can|seems?|looks?|appears?|shows?|has|matches|represents|best|it|this|that|"
    r"the|which|where|here|with|from|if|when|then|rather|instead|not|isn't|also|only|I)\b"
)
"""What may follow the letter A, or I, but hardly an article or the pronoun."""

_ONLY = re.compile(r"\b(?:only|just|hence|thus|therefore|leaves|leaving)\s+$", re.IGNORECASE)
_LISTED = re.compile(r"^[ \t]*[(\[]?([A-Z])[.:)\]][ \t].*$", re.MULTILINE)
"""A line of a list of options."""
_LEADS = re.compile(
    r"\s*(?:(?:so|thus|therefore|hence)\b,?\s*)?"
    r"(?:(?:the|my|final|correct|right|best)\s+)*(?:answer|option|choice)\b(?:\s+is\b)?\s*:?\s*",
    re.IGNORECASE,
)
_MOST_LEADS = 4
_INITIALS = re.compile(r"[A-Za-z]\.[A-Za-z]\b(?!\w)")
_LEADING = re.compile(
    rf"\s*(?:{_OPEN}\s?([A-Za-z])\s?{_CLOSE}"
    r"|([A-Z])(?=[.:),;!?\n]|\s+[-\u2013\u2014:|=>]|\s*$)"
    r"|([a-z])(?=[.:)](?:\s|$)|\s*$)"
    r"|([A-Z])(?=\s))"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_ARTICLES = re.compile(r"^(?:a|an|the)\s+")


@dataclass(frozen=True)
class _Mention:
    """An option named in a text.

    Args:
        places: Places of the option, counted from 0; several where options have the same text.
        start: Where it is named.
        end: Behind it.
        enclosed: Whether as a letter in brackets or quotes.
    """

    places: frozenset[int]
    start: int
    end: int
    enclosed: bool = False


def read_letter(prediction: str, options: Sequence[str] = ()) -> str | None:
    """The letter of the option that a prediction chooses; None where it chooses none, or several.

    Args:
        prediction: What the model said.
        options: The texts that A, B, ... stand for; without them any letter is possible, and only
            a letter is read.

    Returns:
        A capital; of options with equal texts, the first.
    """
    places = read_places(prediction, options)
    return LETTERS[min(places)] if places else None


def read_places(prediction: str, options: Sequence[str] = ()) -> frozenset[int]:
    """The places, counted from 0, of the option that a prediction chooses; none where it chooses
    none, more than one only where the options it names have the same text.

    Args:
        prediction: What the model said.
        options: As for `read_letter`.
    """
    boxed = _BOXED.findall(prediction)
    if boxed and (places := _Reader(boxed[-1], options).places()):
        return places
    return _Reader(prediction, options).places()


class _Reader:
    """Reads one prediction."""

    def __init__(self, prediction: str, options: Sequence[str]) -> None:
        text = _LATEX.sub(r"\1", prediction.translate(_STRAIGHT))
        text = _ANSWER_CUE.sub(r" \1 ", text)
        text = _SMALL_LABEL.sub(lambda label: label[0][:-1] + label[0][-1].upper(), text)
        text = _TAG.sub(" ", _ANSWER_TAG.sub("\nAnswer: ", text))
        text = _MARKUP.sub("", text).replace("\\(", " ").replace("\\)", " ")
        self._text = re.sub(r"\$\s?([A-Z])\s?\$", r"\1", _ARROW.sub("", text)).strip()
        self._text = _without_list(self._text)
        self._options = [normalise_answer(option.translate(_STRAIGHT)) for option in options]
        self._count = len(options) or len(LETTERS)
        self._named = self._texts_named()
        self._seen = self._without_named()
        """The text, the same length, without letters that belong to an option's text."""
        self._letters = list(self._letters_named())

    def places(self) -> frozenset[int]:
        """The option that is chosen."""
        for read in (self._alone, self._stated, self._leading, self._only_letter, self._only_text):
            places = read()
            if places is not None:
                return places
        return frozenset()

    def _alone(self) -> frozenset[int] | None:
        """Nothing but a letter, or nothing but an option's text."""
        rest = self._text
        for _ in range(_MOST_LEADS):
            said = normalise_answer(rest)
            bare = said.strip("()[]{}<>\"'.,:;!? ")
            if len(bare) == 1 and (place := self._place(bare)) is not None:
                return frozenset({place})
            same = frozenset(i for i, text in enumerate(self._options) if text and text == said)
            if same:
                return same
            lead = _LEADS.match(rest)
            if lead is None or not lead.end():
                break
            rest = rest[lead.end() :]
        return None

    def _stated(self) -> frozenset[int] | None:
        """The letter that is said to be the answer, the last where that is said of several."""
        stated: list[_Mention] = []
        for cue in _CUES:
            for match in cue.finditer(self._seen):
                if _denies(match["between"]):
                    continue
                mention = self._mention_at(match.end())
                if mention is not None and not self._denied(mention):
                    stated.append(mention)
        stated += [
            mention
            for mention in self._letters
            if _AFFIRMED.match(self._seen, mention.end) and not self._denied(mention)
        ]
        if not stated:
            return None
        last = max(stated, key=lambda mention: mention.start)
        return frozenset() if self._joined(last) else last.places

    def _leading(self) -> frozenset[int] | None:
        """The letter that the text begins with: `B. a cat`, `(B)a cat`, `B a cat`."""
        start = 0
        while (lead := _LEADS.match(self._seen, start)) is not None and lead.end() > start:
            start = lead.end()
        match = _LEADING.match(self._seen, start)
        if match is None:
            return None
        group = next(number for number in range(1, 5) if match[number] is not None)
        letter, end = match[group], match.end()
        place = self._place(letter)
        if place is None or _INITIALS.match(self._seen, match.start(group)):
            return None
        mention = _Mention(frozenset({place}), match.start(), end, enclosed=group == 1)
        if group == 4 and self._is_word(letter, place, end):
            return None
        if self._denied(mention):
            return None
        return frozenset() if self._joined(mention) else mention.places

    def _only_letter(self) -> frozenset[int] | None:
        """The one letter that is named anywhere, or in the last sentence that names any."""
        named = [mention for mention in self._letters if not self._denied(mention)]
        if any(mention.enclosed for mention in named):
            named = [mention for mention in named if mention.enclosed]
        return self._one_of(named)

    def _only_text(self) -> frozenset[int] | None:
        """The one option whose text is named, after a cue or anywhere."""
        named = [mention for mention in self._named if not self._denied(mention)]
        cues = [match.end() for match in _CUES[0].finditer(self._text)]
        after = [mention for mention in named if cues and mention.start >= cues[-1]]
        if after:
            return after[0].places
        return self._one_of(named)

    def _one_of(self, named: Sequence[_Mention]) -> frozenset[int] | None:
        if len({mention.places for mention in named}) <= 1:
            return named[0].places if named else None
        ends = [match.end() for match in _SENTENCE_END.finditer(self._text)]
        start = max((end for end in ends if end <= named[-1].start), default=0)
        last = {mention.places for mention in named if mention.start >= start}
        return last.pop() if len(last) == 1 else None

    def _place(self, letter: str) -> int | None:
        place = LETTERS.find(letter.upper())
        return place if 0 <= place < self._count else None

    def _letters_named(self) -> Iterator[_Mention]:
        """Every letter that stands for an option, in order."""
        for match in _MARK.finditer(self._seen):
            letter = match[1] or match[2]
            before = self._seen[max(0, match.start() - _NEAR) : match.start()]
            place = self._place(letter)
            if place is None or (match[1] is None and self._is_no_option(letter, match, before)):
                continue
            yield _Mention(frozenset({place}), match.start(), match.end(), match[1] is not None)

    def _is_no_option(self, letter: str, match: re.Match[str], before: str) -> bool:
        """Whether a bare letter is a unit, a variable, a label of something else or a word."""
        place = LETTERS.index(letter)
        return bool(
            _LABELLED.search(before)
            or _AMONG_NUMBERS.search(before)
            or _BEFORE_OPERATOR.match(self._seen, match.end())
            or self._is_word(letter, place, match.end())
        )

    def _is_word(self, letter: str, place: int, end: int) -> bool:
        """Whether `A` is the article, or `I` the pronoun, rather than an option."""
        if letter not in "AI" or not re.match(r"\s+\w", self._seen[end:]):
            return False
        if letter == "A" and _NO_ARTICLE.match(self._seen, end):
            return False
        if _ONLY.search(self._seen[max(0, end - _NEAR) : end - 1]):
            return False
        rest = normalise_answer(self._text[end:])
        text = self._options[place] if place < len(self._options) else None
        return not (text and (rest == text or rest.startswith(f"{text} ")))

    def _mention_at(self, place: int) -> _Mention | None:
        """The letter that stands right after a cue."""
        match = _MARK.match(self._seen, place) or re.compile(_AT_END).match(self._seen, place)
        if match is None:
            return None
        enclosed = match.re is _MARK and match[1] is not None
        letter = next(group for group in match.groups() if group is not None)
        found = self._place(letter)
        if found is None or (not enclosed and self._is_word(letter, found, match.end())):
            return None
        return _Mention(frozenset({found}), match.start(), match.end(), enclosed)

    def _denied(self, mention: _Mention) -> bool:
        """Whether an option is named to be ruled out."""
        before = self._text[max(0, mention.start - _NEAR) : mention.start]
        return bool(_BEFORE_DENIED.search(before) or _AFTER_DENIED.match(self._text, mention.end))

    def _joined(self, mention: _Mention) -> bool:
        """Whether another letter is named along with one: `B or C`."""
        joint = _JOINED.match(self._seen, mention.end)
        after = None if joint is None else _MARK.match(self._seen, joint.end())
        before = [other for other in self._letters if other.end <= mention.start][-1:]
        others = [other for other in before if _OR.fullmatch(self._seen, other.end, mention.start)]
        if after is not None:
            others += [other for other in self._letters if other.start == after.start()]
        return any(other.places != mention.places and not self._denied(other) for other in others)

    def _texts_named(self) -> list[_Mention]:
        """The options whose texts stand in the prediction, in order, the longest where one holds
        another.
        """
        found: dict[tuple[int, int], set[int]] = {}
        for place, option in enumerate(self._options):
            core = _ARTICLES.sub("", option.strip("\"'"))
            if len(core) < 2 and not core.isdigit():
                continue  # a letter would be found in every formula
            words = r"\s+".join(map(re.escape, core.split()))
            bounded = re.compile(rf"(?<![\w$])(?<!\d[.,])(?<!-){words}(?![\w%]|[.,]\d)", re.I)
            if not core[0].isalnum():
                bounded = re.compile(rf"{words}(?![\w%]|[.,]\d)", re.I)
            for match in bounded.finditer(self._text):
                found.setdefault(match.span(), set()).add(place)
        return [
            _Mention(frozenset(places), *span)
            for span, places in sorted(found.items())
            if not any(
                other != span and other[0] <= span[0] and span[1] <= other[1] for other in found
            )
        ]

    def _without_named(self) -> str:
        seen = list(self._text)
        for mention in self._named:
            for place in range(mention.start, mention.end):
                seen[place] = "_" if seen[place].isalpha() else seen[place]
        return "".join(seen)


def _without_list(text: str) -> str:
    """A text without a list of options, which says nothing about any: lines that begin with A, B
    and so on.
    """
    lines = list(_LISTED.finditer(text))
    letters = "".join(line[1] for line in lines)
    if len(letters) < 2 or not LETTERS.startswith(letters):
        return text
    return _LISTED.sub("", text)


def _denies(words: str) -> bool:
    return re.search(r"\bnot\b|n't\b|\bneither\b|\bnever\b|\bexcept\b", words, re.I) is not None
