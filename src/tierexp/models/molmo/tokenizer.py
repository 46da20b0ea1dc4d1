"""Questions to token ids, and token ids to answers.

In: a checkpoint's `tokenizer.json`. Out: the ids of Molmo's prompt ` User: QUESTION Assistant:`,
and the text of what was generated. Knows nothing about images but the ids of their special tokens;
where those go is `tierexp.models.molmo.token_layout`' business. Imports no torch.
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
"""The special tokens of an image; their ids are the tokenizer's."""

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
        tokenizer: Turns text into ids, those of the special tokens of an image included.
        num_embeddings: Ids that the model can look up, counted from 0.

    Raises:
        CheckpointError: The tokenizer has no end of text or no image tokens, or gives an id that
            the model cannot look up.
    """

    def __init__(self, tokenizer: Tokenizer, num_embeddings: int) -> None:
        self._end_of_text = token_id(tokenizer, END_OF_TEXT)
        self.image_tokens = ImageTokenIds(*(token_id(tokenizer, token) for token in IMAGE_TOKENS))
        vocabulary = tokenizer.get_vocab()
        last = max(vocabulary, key=vocabulary.__getitem__)
        if vocabulary[last] >= num_embeddings:
            raise CheckpointError(
                f"the tokenizer has {last!r} at {vocabulary[last]}, the model's embeddings end at "
                f"{num_embeddings - 1}"
            )
        self._tokenizer = tokenizer

    @classmethod
    def from_file(cls, path: Path, num_embeddings: int) -> PromptTokenizer:
        """Read a `tokenizer.json`.

        Args:
            path: The file.
            num_embeddings: Ids that the model can look up.

        Raises:
            CheckpointError: It cannot be read, or does not fit the model.
        """
        tokenizer = read_tokenizer(path)
        try:
            return cls(tokenizer, num_embeddings)
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


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a `tokenizer.json`.

    Args:
        path: The file.

    Raises:
        CheckpointError: It is missing or unreadable.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more specific
        raise CheckpointError(f"{path} is not a tokenizer: {error}") from None


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token.

    Raises:
        CheckpointError: The tokenizer has none of it.
    """
    number: int | None = tokenizer.token_to_id(token)
    if number is None:
        raise CheckpointError(f"the tokenizer has no {token}")
    return number
