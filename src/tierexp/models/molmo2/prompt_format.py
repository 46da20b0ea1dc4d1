"""How Molmo2 models are asked.

As the data formatter of allenai/molmo2 has it, with the settings that the released checkpoints were
trained with (`uber_model_v2`, `demo_or_style_v2`): a multiple choice has no style before it, and
its last line is its last option; an open question keeps its style, as with Molmo.
"""

from __future__ import annotations

from tierexp.models.prompt_format import QuestionParts

_ASKED_FOR = "Only return the correct answer option."
"""The line between a question and its options that every multiple choice was trained with."""

_WITHOUT_STYLE = frozenset({
    "pointing", "point_count", "cosyn_point", "user_qa", "long_caption", "short_caption",
    "correction_qa", "text_sft",
})  # fmt: skip
"""Styles of conversations with users, which do not name one."""


def molmo2_prompt(question: QuestionParts) -> str:
    """A multiple choice as question, instruction and `A. TEXT` lines; another question as
    `STYLE: QUESTION`.

    Args:
        question: The parts.
    """
    if question.options:
        lines = question.lettered(".")
        return "\n".join([question.text, _ASKED_FOR, *lines]) if lines else question.text
    if question.style is None or question.style in _WITHOUT_STYLE:
        return question.text
    return f"{question.style}: {question.text}"
