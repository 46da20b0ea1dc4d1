"""Checkpoints of other families with random weights and a tokenizer of bytes, written by
`transformers` itself: configuration, weights, processor and chat template, at published settings of
the image processor, so that images cost what they cost in the released models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

TEMPLATE = (
    "{% for message in messages %}<turn>{{ message['role'] }}:"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<eos>{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant:{% endif %}"
)
TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
}


def byte_tokenizer(
    tokens: Sequence[str], image: str, names: Mapping[str, str] | None = None
) -> PreTrainedTokenizerFast:
    """A token a byte, the special tokens, and the chat template.

    Args:
        tokens: Special ones.
        image: What the template writes for an image.
        names: Tokens by the attribute of the tokenizer that names them.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    whole = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=whole,
        extra_special_tokens=dict(names or {}),
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
    )
    tokenizer.add_tokens([*tokens, "<turn>"], special_tokens=True)
    tokenizer.chat_template = TEMPLATE.replace("IMAGE", image)
    return tokenizer


def write(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    images: Mapping[str, Any],
    processor: Mapping[str, Any],
) -> None:
    """Put a checkpoint together.

    Args:
        folder: Is made.
        model: Gets random weights.
        tokenizer: With its chat template.
        images: Of `preprocessor_config.json`.
        processor: Of `processor_config.json`.
    """
    torch.manual_seed(0)
    for parameter in model.parameters():
        # Norms and biases too: a model in which they are one and zero hides mistakes.
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.2)
    assert model.generation_config is not None
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    assert isinstance(tokenizer.chat_template, str)
    (folder / "chat_template.jinja").write_text(tokenizer.chat_template)
    (folder / "preprocessor_config.json").write_text(json.dumps(dict(images)))
    (folder / "processor_config.json").write_text(json.dumps(dict(processor)))


SPLIT_MARKS = (
    "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>",
    *(f"<row_{r}_col_{c}>" for r in range(1, 9) for c in range(1, 9)),
)  # fmt: skip


def text_settings(tokenizer: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    """Of a language model for a tokenizer."""
    ends = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return {**TEXT, **ends, **more}


def idefics3(folder: Path) -> None:
    """Crops of 364 pixels, 169 tokens each."""
    tokenizer = byte_tokenizer(SPLIT_MARKS, "<image>")
    config = Idefics3Config(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
        vision_config={
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 2, "image_size": 364, "patch_size": 14,
        },
        text_config=text_settings(tokenizer, model_type="llama"),
    )  # fmt: skip
    write(
        folder,
        Idefics3ForConditionalGeneration(config),
        tokenizer,
        {
            "image_processor_type": "Idefics3ImageProcessor",
            "processor_class": "Idefics3Processor",
            "size": {"longest_edge": 1456},
            "max_image_size": {"longest_edge": 364},
        },
        {"processor_class": "Idefics3Processor", "image_seq_len": 169},
    )
