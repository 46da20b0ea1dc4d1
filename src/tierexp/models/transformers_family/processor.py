"""A checkpoint's own processor, for images alone.

In: a checkpoint folder. Out: the library's processor, made of its image processor, its tokenizer
and its settings. The part for videos is left out: it needs torchvision, and nobody asks it.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from tierexp.errors import CheckpointError

_PARTS = ("image_processor", "tokenizer", "video_processor")


class _ImagesOnly:
    """Mixed into a processor's class, so that it does without the part for videos."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        if argument_name == "video_processor" and argument is None:
            return type(None)
        check = super().check_argument_for_proper_class  # type: ignore[misc]
        return check(argument_name, argument)


def load_processor(folder: Path, processor: str) -> Any:
    """The processor of a checkpoint; pads on the left.

    Args:
        folder: The checkpoint.
        processor: Name of the library's class.

    Raises:
        CheckpointError: Its files are missing or cannot be read.
    """
    import transformers
    from transformers import AutoImageProcessor, AutoTokenizer

    kind = getattr(transformers, processor)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        images = AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        stored, _ = kind.get_processor_dict(folder, local_files_only=True)
    except Exception as error:  # the library raises many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{folder} has no processor that can be read: {reason}") from error
    tokenizer.padding_side = "left"
    known = inspect.signature(kind.__init__).parameters
    settings = {key: stored[key] for key in stored if key in known and key not in _PARTS}
    settings.setdefault("chat_template", tokenizer.chat_template)
    if settings["chat_template"] is None:
        raise CheckpointError(f"{folder} has no chat template")
    if "video_processor" in known:
        kind = type(kind.__name__, (_ImagesOnly, kind), {})
        settings["video_processor"] = None
    return kind(image_processor=images, tokenizer=tokenizer, **settings)
