"""Which methods of the group `reduction` a family of `transformers` serves. Imports no torch.

The library's decoders hand out no attention weights from within, and respect no sizes of tokens in
attention: `text`, `fastv` and `merge` have nothing to go by. Of the encoders only InternVL's has a
class token.
"""

from __future__ import annotations

from tierexp.models.knobs.reduction.settings import Method

LOOKS_AT_ENCODER: tuple[Method, ...] = ("cls_attention", "vision_zip")
"""Methods that ask what the encoder's class token attends to."""
_OF_TOKENS: tuple[Method, ...] = ("none", "random", "stride", "pool", "diverse")


def methods_of(model_type: str) -> tuple[Method, ...]:
    """The methods that a family serves.

    Args:
        model_type: Of its `config.json`.
    """
    return _OF_TOKENS + (LOOKS_AT_ENCODER if model_type == "internvl" else ())
