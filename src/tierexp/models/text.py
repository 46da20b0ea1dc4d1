"""Questions to token ids, and token ids to answers.

In: a checkpoint's `tokenizer.json`. Out: the ids of Molmo's prompt ` User: QUESTION Assistant:`,
and the text of what was generated. Knows nothing about images but the ids of their special tokens;
where those go is `tierexp.models.token_layout`' business. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tierexp.errors import CheckpointError

END_OF_TEXT = "<|endoftext|>"
IMAGE_TOKENS = ("<im_start>", "<im_end>", "<im_patch>", "<im_col>")
"""The special tokens of an image, in the order of their ids."""

_BEFORE, _AFTER = " User: ", " Assistant:"


@dataclass(frozen=True)
class ImageTokenIds:
    """Ids of the special tokens around an image.

    Args:
        im_start: Opens a grid of patches.
        im_end: Closes it.
        im_patch: Stands where a vision token is added.
        im_col: Ends a row of patches.
    """

    im_start: int
    im_end: int
    im_patch: int
    im_col: int

    @property
    def view_start(self) -> int:
        """Opens the global view's grid: as any other."""
        return self.im_start

    @property
    def view_col(self) -> int:
        """Ends a row of the global view: as of any other grid."""
        return self.im_col


class PromptTokenizer:
    """A tokenizer that knows Molmo's prompt.

    Args:
        tokenizer: Turns text into ids.
        image_tokens: Ids of the special tokens of an image.

    Raises:
        CheckpointError: The tokenizer has no end-of-text token, or numbers the image tokens
            differently.
    """

    def __init__(self, tokenizer: Tokenizer, image_tokens: ImageTokenIds) -> None:
        end_of_text = tokenizer.token_to_id(END_OF_TEXT)
        if end_of_text is None:
            raise CheckpointError(f"the tokenizer has no {END_OF_TEXT}")
        for token in IMAGE_TOKENS:
            expected = getattr(image_tokens, token.strip("<>"))
            if tokenizer.token_to_id(token) not in (None, expected):
                raise CheckpointError(
                    f"the tokenizer has {token} at {tokenizer.token_to_id(token)}, "
                    f"the model's embedding at {expected}"
                )
        self._tokenizer = tokenizer
        self._end_of_text: int = end_of_text
        self.image_tokens = image_tokens

    @classmethod
    def from_file(cls, path: Path, vocab_size: int) -> PromptTokenizer:
        """Read a `tokenizer.json`.

        Args:
            path: The file.
            vocab_size: Rows of the model's first embedding; the image tokens follow them.

        Raises:
            CheckpointError: It cannot be read, or does not fit the model.
        """
        if not path.is_file():
            raise CheckpointError(f"{path} does not exist")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing more specific
            raise CheckpointError(f"{path} is not a tokenizer: {error}") from None
        try:
            return cls(tokenizer, ImageTokenIds(*range(vocab_size, vocab_size + 4)))
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None

    @property
    def before_image(self) -> list[int]:
        """Begins every sequence: Molmo's tokenizers have no token for it but the end of text."""
        return [self._end_of_text]

    @property
    def eos_id(self) -> int:
        """Ends an answer."""
        return self._end_of_text

    @property
    def pad_id(self) -> int:
        """Fills up a batch; masked, so that any id would do."""
        return self._end_of_text

    def encode_prompt(self, question: str) -> list[int]:
        """Ids of ` User: QUESTION Assistant:`, without beginning of text and image."""
        return self._encode(f"{_BEFORE}{question}{_AFTER}")

    def prompt_token_at(self, question: str, end: int) -> int:
        """The place in `encode_prompt` of the token that the last character of `question[:end]`
        belongs to; `end` is at least 1.
        """
        encoding = self._encoding(f"{_BEFORE}{question}{_AFTER}")
        place: int = encoding.char_to_token(len(_BEFORE) + end - 1)
        return place

    def encode_answer(self, text: str) -> list[int]:
        """Ids of an answer that continues a prompt, without the end of text."""
        return self._encode(f" {text}")

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated ids up to the end of text, without surrounding white space."""
        ids = list(ids)
        if self._end_of_text in ids:
            ids = ids[: ids.index(self._end_of_text)]
        text: str = self._tokenizer.decode(ids)
        return text.strip()

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._encoding(text).ids
        return ids

    def _encoding(self, text: str) -> Any:
        # A question may contain "<im_patch>"; it must not become one. Set here, because a tokenizer
        # forgets it on its way to a worker process.
        self._tokenizer.encode_special_tokens = True
        return self._tokenizer.encode(text, add_special_tokens=False)
