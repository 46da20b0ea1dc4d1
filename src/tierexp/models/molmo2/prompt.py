"""Questions to token ids in the words of a checkpoint's own chat template, and ids to answers.

In: a checkpoint's `tokenizer.json`, `tokenizer_config.json` and chat template. Out: what comes
before the image, what follows it, and the text of what was generated; the same ids as
`Molmo2Processor` gives, but a question never becomes a special token. The template is rendered in
Jinja's sandbox: it can lay out text and no more. Imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tierexp.errors import CheckpointError
from tierexp.models.checkpoint_files import TOKENIZER_FILE, read_object
from tierexp.models.molmo.tokenizer import read_tokenizer, token_id
from tierexp.models.molmo2.settings import PROCESSOR_FILE, Molmo2Settings

TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
GENERATION_FILE = "generation_config.json"
TEMPLATE_FILE = "chat_template.jinja"
_OLD_TEMPLATE_FILE = "chat_template.json"

_IMAGE = "<|image|>"
_QUESTION = "\ue000question\ue000"
"""Stands for the question while the template is rendered: private characters, in no template."""


@dataclass(frozen=True)
class Molmo2ImageTokens:
    """Ids of the special tokens around an image.

    Args:
        im_start: Opens the canvas's grid.
        view_start: Opens the global view's.
        im_end: Closes either.
        im_patch: Stands where a vision token is added.
        im_col: Ends a row of the canvas; None where nothing does.
        view_col: Ends a row of the global view; None where nothing does.
    """

    im_start: int
    view_start: int
    im_end: int
    im_patch: int
    im_col: int | None
    view_col: int | None

    @property
    def all(self) -> tuple[int, ...]:
        """Every one of them, in order."""
        ids = (self.im_start, self.view_start, self.im_end, self.im_patch)
        cols = (self.im_col, self.view_col)
        return tuple(sorted({*ids, *(col for col in cols if col is not None)}))


@dataclass(frozen=True)
class _Frame:
    """What stands around a question: ids, and the plain text that is tokenized along with it."""

    ids_before: tuple[int, ...]
    text_before: str
    text_after: str
    ids_after: tuple[int, ...]


class Molmo2Tokenizer:
    """A `QuestionTokenizer`.

    Args:
        tokenizer: Turns text into ids.
        image_tokens: Ids of the special tokens of an image.
        prompt: The whole prompt, with one `<|image|>` and after it one placeholder of a question.
        end_ids: Those that end an answer, the one that fills up first.
        pad_id: Fills up a batch; masked, so that any id would do.

    Raises:
        CheckpointError: The prompt is not so.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        image_tokens: Molmo2ImageTokens,
        prompt: str,
        end_ids: Sequence[int],
        pad_id: int,
    ) -> None:
        self._tokenizer = tokenizer
        self.image_tokens = image_tokens
        self.end_ids = tuple(end_ids)
        self.pad_id = pad_id
        before_image, image, rest = prompt.partition(_IMAGE)
        before, question, after = rest.partition(_QUESTION)
        if not (image and question) or _IMAGE in rest or _QUESTION in after:
            raise CheckpointError(
                f"the chat template does not give one {_IMAGE} and then the question"
            )
        self.before_image = self._special(before_image)
        # Special tokens are where a tokenizer cuts the text before anything else, so tokenizing
        # the parts between them one by one gives the ids of the whole.
        added = tokenizer.get_added_tokens_decoder().values()
        cuts = re.compile("|".join(re.escape(token.content) for token in added if token.special))
        start = max((cut.end() for cut in cuts.finditer(before)), default=0)
        stop = min((cut.start() for cut in cuts.finditer(after)), default=len(after))
        self._frame = _Frame(
            tuple(self._special(before[:start])),
            before[start:],
            after[:stop],
            tuple(self._special(after[stop:])),
        )

    @classmethod
    def from_folder(cls, folder: Path, settings: Molmo2Settings) -> Molmo2Tokenizer:
        """Read a checkpoint's tokenizer and template.

        Args:
            folder: The checkpoint.
            settings: What else it says.

        Raises:
            CheckpointError: A file is missing or unreadable, or does not fit the model.
        """
        path = folder / TOKENIZER_FILE
        tokenizer = read_tokenizer(path)
        named = _named_tokens(folder)
        try:
            # Molmo2's tokenizers begin a sequence with the token that ends an answer.
            end = token_id(tokenizer, named["eos_token"])
            prompt = _render(_template(folder), named)
            begin = named.get("bos_token", named["eos_token"])
            return cls(
                tokenizer,
                _image_tokens(tokenizer, settings),
                prompt if prompt.startswith(begin) else begin + prompt,
                [end, *(also for also in _generation_ends(folder) if also != end)],
                token_id(tokenizer, named.get("pad_token", named["eos_token"])),
            )
        except CheckpointError as error:
            raise CheckpointError(f"{folder}: {error}") from None

    def encode_prompt(self, question: str) -> list[int]:
        """Ids that follow the image, up to the answer."""
        frame = self._frame
        # Set here, because a tokenizer forgets it on its way to a worker process.
        self._tokenizer.encode_special_tokens = True
        text = f"{frame.text_before}{question}{frame.text_after}"
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return [*frame.ids_before, *ids, *frame.ids_after]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated ids up to the end of text, without surrounding white space."""
        ids = list(ids)
        ended = next((at for at, token in enumerate(ids) if token in self.end_ids), len(ids))
        text: str = self._tokenizer.decode(ids[:ended])
        return text.strip()

    def _special(self, text: str) -> list[int]:
        self._tokenizer.encode_special_tokens = False
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _image_tokens(tokenizer: Tokenizer, settings: Molmo2Settings) -> Molmo2ImageTokens:
    for token, stated in settings.token_ids.items():
        found = token_id(tokenizer, token)
        if found != stated:
            raise CheckpointError(f"the tokenizer has {token} at {found}, the model at {stated}")
    ids = settings.token_ids
    # The model's configuration does not state this one, so the tokenizer's word is taken for it.
    col = token_id(tokenizer, "<im_col>") if settings.canvas_cols or settings.view_cols else None
    return Molmo2ImageTokens(
        im_start=ids["<im_start>"],
        view_start=ids["<low_res_im_start>" if settings.own_view_start else "<im_start>"],
        im_end=ids["<im_end>"],
        im_patch=ids["<im_patch>"],
        im_col=col if settings.canvas_cols else None,
        view_col=col if settings.view_cols else None,
    )


def _named_tokens(folder: Path) -> dict[str, str]:
    """`bos_token`, `eos_token`, ... of a tokenizer's configuration, those that are there."""
    named = {}
    for name, token in read_object(folder / TOKENIZER_CONFIG_FILE).items():
        content = token.get("content") if isinstance(token, dict) else token
        if name.endswith("_token") and isinstance(content, str):
            named[name] = content
    if "eos_token" not in named:
        raise CheckpointError(f"{folder / TOKENIZER_CONFIG_FILE} names no eos_token")
    return named


def _generation_ends(folder: Path) -> Collection[int]:
    """What else ends an answer, where the checkpoint says so."""
    if not (folder / GENERATION_FILE).is_file():
        return ()
    ends = read_object(folder / GENERATION_FILE).get("eos_token_id")
    return [end for end in (ends if isinstance(ends, list) else [ends]) if isinstance(end, int)]


def _template(folder: Path) -> str:
    """A checkpoint's chat template, where `transformers` looks for it too."""
    if (folder / TEMPLATE_FILE).is_file():
        return (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    for file in (_OLD_TEMPLATE_FILE, PROCESSOR_FILE, TOKENIZER_CONFIG_FILE):
        values = read_object(folder / file) if (folder / file).is_file() else {}
        if isinstance(values.get("chat_template"), str):
            return str(values["chat_template"])
    raise CheckpointError(f"there is no chat template, neither {TEMPLATE_FILE} nor in a JSON file")


def _render(template: str, named: Mapping[str, str]) -> str:
    """The prompt of one image and a placeholder of a question."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(reason: str) -> None:
        raise TemplateError(reason)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = refuse
    content: list[dict[str, Any]] = [{"type": "image"}, {"type": "text", "text": _QUESTION}]
    try:
        return environment.from_string(template).render(
            messages=[{"role": "user", "content": content}], add_generation_prompt=True, **named
        )
    except TemplateError as error:
        raise CheckpointError(f"the chat template cannot be rendered: {error}") from None
