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
    AyaVisionConfig,
    AyaVisionForConditionalGeneration,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
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


def windowed_text_settings(
    tokenizer: PreTrainedTokenizerFast, model_type: str, **more: Any
) -> dict[str, Any]:
    """Of a language model two of whose three blocks see 64 tokens back."""
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    return text_settings(
        tokenizer, model_type=model_type, sliding_window=64, layer_types=kinds, **more
    )


VISION: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
}  # fmt: skip
WIDE_VISION = VISION | {"num_hidden_layers": 1, "num_attention_heads": 1}
"""Where an image has thousands of patches, whose attention to each other is what takes time."""


def siglip(side: int, sizes: Mapping[str, Any] = VISION, patch_size: int = 14) -> dict[str, Any]:
    """Settings of an encoder for crops of `side` pixels."""
    kind = {"model_type": "siglip_vision_model", "vision_use_head": False}
    return {**sizes, **kind, "image_size": side, "patch_size": patch_size}


def idefics3(folder: Path) -> None:
    """Crops of 364 pixels, 169 tokens each."""
    tokenizer = byte_tokenizer(SPLIT_MARKS, "<image>")
    config = Idefics3Config(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
        vision_config={**VISION, "image_size": 364, "patch_size": 14},
        text_config=text_settings(tokenizer, model_type="llama"),
    )
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


def smolvlm2(folder: Path) -> None:
    """Crops of 512 pixels, 64 tokens each."""
    tokenizer = byte_tokenizer(SPLIT_MARKS, "<image>")
    config = SmolVLMConfig(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=4,
        vision_config={**WIDE_VISION, "image_size": 512, "patch_size": 16},
        text_config=text_settings(tokenizer, model_type="llama"),
    )
    images = {
        "image_processor_type": "SmolVLMImageProcessor",
        "size": {"longest_edge": 2048},
        "max_image_size": {"longest_edge": 512},
    }
    settings = {"processor_class": "SmolVLMProcessor", "image_seq_len": 64}
    write(folder, SmolVLMForConditionalGeneration(config), tokenizer, images, settings)


QWEN_NAMES = {
    "image_token": "<image>", "video_token": "<video>", "vision_start_token": "<vs>",
    "vision_end_token": "<ve>",
}  # fmt: skip


def _qwen_images(patch_size: int, shortest: int, longest: int) -> dict[str, Any]:
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "size": {"shortest_edge": shortest, "longest_edge": longest},
        "patch_size": patch_size,
        "temporal_patch_size": 2,
        "merge_size": 2,
    }


def _qwen(kind: str, **of_text: Any) -> tuple[PreTrainedTokenizerFast, dict[str, Any]]:
    """The tokenizer, and what the configurations of Qwen's models share."""
    tokenizer = byte_tokenizer((), "<vs><image><ve>", QWEN_NAMES)
    numbers = {
        f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in QWEN_NAMES.items()
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
    if kind == "qwen3_vl":
        rope["mrope_interleaved"] = True
    text = text_settings(tokenizer, model_type=f"{kind}_text", rope_parameters=rope, **of_text)
    return tokenizer, {**numbers, "text_config": text}


def qwen3_vl(folder: Path) -> None:
    """Cells of 32 pixels, 64 to 16,384 of them."""
    tokenizer, settings = _qwen("qwen3_vl", head_dim=8)
    vision = {
        "depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2,
        "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "out_hidden_size": 32, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    config = Qwen3VLConfig(**settings, vision_config=vision)
    images = _qwen_images(16, 65536, 16777216)
    processor = {"processor_class": "Qwen3VLProcessor"}
    write(folder, Qwen3VLForConditionalGeneration(config), tokenizer, images, processor)


def internvl3_5(folder: Path) -> None:
    """Crops of 448 pixels, 256 tokens each."""
    names = {
        "start_image_token": "<img>", "end_image_token": "</img>",
        "context_image_token": "<image>", "video_token": "<video>",
    }  # fmt: skip
    tokenizer = byte_tokenizer((), "<image>", names)
    config = InternVLConfig(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_config={**VISION, "image_size": [448, 448], "patch_size": [14, 14]},
        text_config=text_settings(tokenizer, model_type="qwen3", head_dim=8),
        downsample_ratio=0.5,
    )
    images = {
        "image_processor_type": "GotOcr2ImageProcessor",
        "size": {"height": 448, "width": 448},
        "crop_to_patches": True,
        "min_patches": 1,
        "max_patches": 12,
    }
    settings = {"processor_class": "InternVLProcessor", "image_seq_length": 256}
    write(folder, InternVLForConditionalGeneration(config), tokenizer, images, settings)


def llava_onevision(folder: Path) -> None:
    """Crops of 384 pixels, 729 tokens each, padding dropped."""
    tokenizer = byte_tokenizer(("<image>", "<video>"), "<image>")
    points = [[384 * rows, 384 * cols] for rows in range(1, 7) for cols in range(1, 7)]
    config = LlavaOnevisionConfig(
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=points,
        vision_config=siglip(384),
        text_config=text_settings(tokenizer, model_type="qwen2"),
    )
    images = {
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "size": {"height": 384, "width": 384},
        "image_grid_pinpoints": points,
    }
    settings = {
        "processor_class": "LlavaOnevisionProcessor",
        "num_image_tokens": 729,
        "vision_feature_select_strategy": "full",
    }
    write(folder, LlavaOnevisionForConditionalGeneration(config), tokenizer, images, settings)


def gemma3(folder: Path) -> None:
    """Squares of 896 pixels, 256 tokens each."""
    names = {"boi_token": "<boi>", "eoi_token": "<eoi>", "image_token": "<image>"}
    tokenizer = byte_tokenizer((), "<boi>", names)
    config = Gemma3Config(
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        boi_token_index=tokenizer.convert_tokens_to_ids("<boi>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<eoi>"),
        mm_tokens_per_image=256,
        # A quarter of the published number of patches, which are pooled to as many tokens.
        vision_config=siglip(896, WIDE_VISION, patch_size=28),
        text_config=windowed_text_settings(tokenizer, "gemma3_text", head_dim=8),
    )
    images = {
        "image_processor_type": "Gemma3ImageProcessor",
        "size": {"height": 896, "width": 896},
        "pan_and_scan_min_crop_size": 256,
        "pan_and_scan_max_num_crops": 4,
        "pan_and_scan_min_ratio_to_activate": 1.2,
    }
    settings = {"processor_class": "Gemma3Processor", "image_seq_length": 256}
    write(folder, Gemma3ForConditionalGeneration(config), tokenizer, images, settings)


def qwen2_vl(folder: Path) -> None:
    """Cells of 28 pixels, 4 to 1,280 of them."""
    tokenizer, settings = _qwen("qwen2_vl")
    vision = {
        "depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2,
        "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
    }  # fmt: skip
    config = Qwen2VLConfig(**settings, vision_config=vision)
    images = _qwen_images(14, 3136, 1003520)
    processor = {"processor_class": "Qwen2VLProcessor"}
    write(folder, Qwen2VLForConditionalGeneration(config), tokenizer, images, processor)


def qwen2_5_vl(folder: Path) -> None:
    """The same, up to 16,384; one block of three sees the whole image, two see windows."""
    tokenizer, settings = _qwen("qwen2_5_vl")
    vision = {
        "depth": 3, "hidden_size": 16, "out_hidden_size": 32, "intermediate_size": 24,
        "num_heads": 2, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "window_size": 112, "fullatt_block_indexes": [1],
    }  # fmt: skip
    config = Qwen2_5_VLConfig(**settings, vision_config=vision)
    images = _qwen_images(14, 3136, 12845056)
    processor = {"processor_class": "Qwen2_5_VLProcessor"}
    write(folder, Qwen2_5_VLForConditionalGeneration(config), tokenizer, images, processor)


def llava_next(folder: Path) -> None:
    """Crops of 336 pixels, 576 tokens each, padding dropped; the encoder has a class token."""
    tokenizer = byte_tokenizer(("<image>",), "<image>")
    points = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
    config = LlavaNextConfig(
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=points,
        vision_config={
            **VISION, "model_type": "clip_vision_model", "image_size": 336, "patch_size": 14,
        },
        text_config=text_settings(tokenizer, model_type="llama"),
    )  # fmt: skip
    images = {
        "image_processor_type": "LlavaNextImageProcessor",
        "size": {"shortest_edge": 336},
        "crop_size": {"height": 336, "width": 336},
        "image_grid_pinpoints": points,
    }
    settings = {
        "processor_class": "LlavaNextProcessor",
        "patch_size": 14,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
    }
    write(folder, LlavaNextForConditionalGeneration(config), tokenizer, images, settings)


def aya_vision(folder: Path) -> None:
    """Crops of 364 pixels, 169 tokens each."""
    marks = ("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "<image>")
    tiles = (*(f"TILE_{number}" for number in range(1, 13)), "TILE_GLOBAL")
    tokenizer = byte_tokenizer((*marks, *tiles), "<image>")
    config = AyaVisionConfig(
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        downsample_factor=2,
        vision_config=siglip(364),
        text_config=windowed_text_settings(tokenizer, "cohere2"),
    )
    images = {
        "image_processor_type": "GotOcr2ImageProcessor",
        "size": {"height": 364, "width": 364},
        "min_patches": 1,
        "max_patches": 12,
    }
    settings = {
        "processor_class": "AyaVisionProcessor",
        "patch_size": 14,
        "img_size": 364,
        "downsample_factor": 2,
    }
    write(folder, AyaVisionForConditionalGeneration(config), tokenizer, images, settings)
