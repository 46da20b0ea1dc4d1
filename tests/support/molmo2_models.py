"""Molmo2 checkpoints of a few thousand random weights, written by `transformers` itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Molmo2Config, Molmo2ForConditionalGeneration

VOCAB_SIZE = 320
IMAGE_TOKENS = (
    "<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<low_res_im_start>", "<|image|>",
)  # fmt: skip
END, TURN = "<|im_end|>", "<|im_start|>"
TEMPLATE = (
    "{% for message in messages %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<|image|>{% endfor %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Written for these tests in the form in which vLLM's examples prompt the released models."""

SIZES: dict[str, Any] = {
    "vision_config": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "image_size": [70, 70],
        "patch_size": 14,
    },
    "adapter_config": {
        "vision_feature_layer": [2, 0],
        "hidden_size": 16,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 20,
        "text_hidden_size": 32,
    },
    "text_config": {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "vocab_size": VOCAB_SIZE,
        "additional_vocab_size": 8,
        "num_hidden_layers": 4,
        "intermediate_size": 24,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    },
    "image_start_token_id": VOCAB_SIZE,
    "image_end_token_id": VOCAB_SIZE + 1,
    "image_patch_id": VOCAB_SIZE + 2,
    "low_res_image_start_token_id": VOCAB_SIZE + 4,
}
OLMO = {"qk_norm_type": "olmo", "norm_after": True, "num_key_value_heads": 4}
"""Like Molmo2-O-7B: queries and keys normalised over their full width, norms after."""


def small_config(**text: Any) -> Molmo2Config:
    sizes = json.loads(json.dumps(SIZES))
    sizes["text_config"] |= text
    return Molmo2Config(**sizes)


def small_network(seed: int = 0, **text: Any) -> Molmo2ForConditionalGeneration:
    torch.manual_seed(seed)
    network = Molmo2ForConditionalGeneration(small_config(**text))
    for parameter in network.parameters():
        # Norms and biases too: a model in which they are one and zero hides mistakes.
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.3)
    return network.eval()


def write_tokenizer(folder: Path) -> None:
    """Byte-level, with the special tokens where `SIZES` says they are."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", TURN, END],
        show_progress=False,
    )
    words = ["what is it user assistant where are these people going today", "colour of the plate"]
    tokenizer.train_from_iterator(words * 3, trainer)
    fill = [f"<|unused_{n}|>" for n in range(VOCAB_SIZE - tokenizer.get_vocab_size())]
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in (*fill, *IMAGE_TOKENS)])
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": END, "eos_token": END, "pad_token": "<|endoftext|>"}
    kind = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names | kind))
    (folder / "chat_template.jinja").write_text(TEMPLATE)


PROCESSOR: dict[str, Any] = {
    "processor_class": "Molmo2Processor",
    "image_use_col_tokens": True,
    "use_single_crop_col_tokens": False,
    "use_single_crop_start_token": True,
    "image_processor": {
        "image_processor_type": "Molmo2ImageProcessor",
        "size": {"height": 70, "width": 70},
        "patch_size": 14,
        "overlap_margins": [1, 1],
        "pooling_size": [2, 2],
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "max_crops": 8,
    },
}


def write_settings(folder: Path, **text: Any) -> None:
    small_config(**text).save_pretrained(folder)
    (folder / "processor_config.json").write_text(json.dumps(PROCESSOR))


def write_checkpoint(folder: Path, seed: int = 0, **text: Any) -> Path:
    """A whole checkpoint of crops of 70 pixels, 5 x 5 patches and 9 tokens."""
    write_settings(folder, **text)
    write_tokenizer(folder)
    small_network(seed, **text).save_pretrained(folder)
    return folder


def formula_image(height: int, width: int) -> NDArray[np.uint8]:
    y, x, c = np.ogrid[:height, :width, :3]
    return ((7 * x + 13 * y + 50 * c + (x * y) // 97) % 256).astype(np.uint8)
