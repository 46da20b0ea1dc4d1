"""How the Molmo models of September 2024 are asked.

As the data formatter of allenai/molmo has it: the style before the question, and below the question
of a multiple choice a line for each option, with a line break at the end.
"""

from __future__ import annotations

from tierexp.models.prompt_format import QuestionParts


def molmo_prompt(question: QuestionParts) -> str:
    """`STYLE: QUESTION`, and `A: TEXT` lines where options are to be listed.

    Args:
        question: The parts.
    """
    lines = question.lettered(":")
    text = "\n".join([question.text, *lines, ""]) if lines else question.text
    return text if question.style is None else f"{question.style}: {text}"
