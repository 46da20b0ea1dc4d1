"""A small tokenizer for a model that is trained from nothing.

In: texts. Out: a `tokenizer.json` as `PromptTokenizer` reads it. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tierexp.models.molmo.tokenizer import END_OF_TEXT, IMAGE_TOKENS

_UNITS = Regex(r" ?[A-Z]?[a-z]+|[^a-z]")
"""What may be merged: words in lower case, with their capital and the space before them."""

BYTES = 256


def train_tokenizer(texts: Iterable[str], vocab_size: int, path: Path) -> None:
    """Train a byte-level BPE (Sennrich et al., 2016) and write it.

    Words are merged with the space before them; digits, punctuation and capitals that no small
    letter follows never are: a code such as `K7D` is three tokens whatever the texts were, and the
    space before it is one of its own.

    Args:
        texts: What should become few tokens.
        vocab_size: Ids of text. Those that the texts leave over are filled, so that the special
            tokens of images follow at `vocab_size`.
        path: Path of the `tokenizer.json` to write.

    Raises:
        ValueError: Fewer ids than bytes and the end of text.
    """
    if vocab_size <= BYTES:
        raise ValueError(f"a byte-level vocabulary of {vocab_size} is too small, below 257")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_UNITS, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fillers = [f"|<EXTRA_TOKENS_{n}>|" for n in range(vocab_size - tokenizer.get_vocab_size())]
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in (*fillers, *IMAGE_TOKENS)]
    )
    tokenizer.save(str(path))
