"""What `transformers`' own processors make of images, asked in a process of its own.

In, on standard input: JSON, a list of `[name, settings, sizes]`: a name of `PROCESSORS`, settings
of its image processor beside the published ones, and (height, width) of images. Out, on standard
output: JSON, for every one of them a list with `[vision_tokens, marks, images, rows, cols]` for
every size, or the reason of the refusal. The processors are the library's, told the published
settings, with a tokenizer of bytes made on the spot; images are tensors without pixels, and
`torchvision_shapes` stands in for torchvision. Knows nothing of tierexp.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torchvision.transforms.v2 import functional as shapes
from transformers import PreTrainedTokenizerFast
from transformers.image_utils import ChannelDimension
from transformers.processing_utils import ProcessorMixin

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
# The parts of a processor are checked by name; it is never asked about videos here.
ProcessorMixin.check_argument_for_proper_class = lambda *_: None  # type: ignore[method-assign]

Made = dict[str, Any]
"""What a processor returns; beside it `resized` and `padded`, sizes in order."""
Count = Callable[[Made], tuple[int, int, int]]
"""Images that the encoder sees, rows and columns of the grid."""


@dataclass(frozen=True)
class Asked:
    """One processor and how it is asked.

    Args:
        processor: Module under `transformers.models` and class of the processor. image_processor:
        The same of its image processor. count: Reads images and grid off what was made. images:
        Settings of the image processor. settings: Settings of the processor. call: Arguments of the
        call. names: Tokens by the attribute of the tokenizer that names them. tokens: Further
        special tokens. placeholder: Stands for an image in the text. counted: The token that is
        counted; the placeholder where None. device: Of the images: a processor that reads values
        off its tensors needs memory (`cpu`), one
            that takes no tensors a picture (`pillow`).
    """

    processor: str
    image_processor: str
    count: Count
    images: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    call: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    tokens: tuple[str, ...] = ()
    placeholder: str = "<image>"
    counted: str | None = None
    device: str = "meta"


def _square(side: int) -> dict[str, dict[str, int]]:
    return {"size": {"height": side, "width": side}}


def _canvas(side: int, at: int = 0) -> Count:
    """Resize number `at` is to the canvas of square crops."""

    def count(made: Made) -> tuple[int, int, int]:
        height, width = made["resized"][at]
        return len(made["pixel_values"]), height // side, width // side

    return count


def _tiles(made: Made) -> tuple[int, int, int]:
    """Perception LM: the first resize is to the view, the second to the canvas."""
    height, width = made["resized"][1]
    return made["pixel_values"].shape[1], height // 448, width // 448


def _pinpoint(side: int) -> Count:
    """The canvas is what the image is padded to, or resized to where nothing is missing."""

    def count(made: Made) -> tuple[int, int, int]:
        height, width = (made["padded"] or made["resized"])[0]
        return made["pixel_values"].shape[1], height // side, width // side

    return count


def _cells(side: int) -> Count:
    """One image, resized to a multiple of the cell unless it is one."""

    def count(made: Made) -> tuple[int, int, int]:
        height, width = (made["resized"] or [made["asked"]])[0]
        return 1, height // side, width // side

    return count


def _merged(made: Made) -> tuple[int, int, int]:
    _, rows, cols = made["image_grid_thw"][0].tolist()
    return 1, rows // 2, cols // 2


def _single(made: Made) -> tuple[int, int, int]:
    return len(made["pixel_values"]), 1, 1


def _split(made: Made) -> tuple[int, int, int]:
    """Idefics3: the last resize but one is to the canvas, the last to the view."""
    views = made["pixel_values"].shape[1]
    height, width = made["resized"][1]
    side = made["pixel_values"].shape[-1]
    return views, height // side, width // side


def _gemma3(made: Made) -> tuple[int, int, int]:
    views = len(made["pixel_values"])
    if views == 1:
        return 1, 1, 1
    height, width = made["asked"]
    return (views, 1, views - 1) if width >= height else (views, views - 1, 1)


def _ovis2(made: Made) -> tuple[int, int, int]:
    return (len(made["pixel_values"]), *made["grids"][0].tolist())


def _lfm2(made: Made) -> tuple[int, int, int]:
    views = len(made["pixel_values"])
    if views == 1:
        return 1, 1, 1
    height, width = made["resized"][0]
    return views, height // 512, width // 512


def _llama4(made: Made) -> tuple[int, int, int]:
    return (len(made["pixel_values"]), *made["aspect_ratios"][0].tolist())


def _mllama(made: Made) -> tuple[int, int, int]:
    height, width = (made["padded"] or made["resized"])[0]
    return made["pixel_values"].shape[2], height // 560, width // 560


def _molmo2(made: Made) -> tuple[int, int, int]:
    height, width = made["resized"][0]
    return len(made["pixel_values"]), (height - 112) // 266, (width - 112) // 266


def _phi4(made: Made) -> tuple[int, int, int]:
    height, width = made["image_sizes"][0].tolist()
    return made["image_pixel_values"].shape[1], height // 448, width // 448


def _minicpm(made: Made) -> tuple[int, int, int]:
    views = len(made["target_sizes"])
    if views == 1:
        return 1, 1, 1
    # Slices are divided off an image that was resized to all of them.
    rows, cols = made["target_sizes"][1].tolist()
    height, width = made["resized"][1]
    return views, height // (rows * 14), width // (cols * 14)


def _deepseek_ocr2(made: Made) -> tuple[int, int, int]:
    if "pixel_values_local" not in made:
        return 1, 1, 1
    height, width = made["resized"][0]
    return 1 + len(made["pixel_values_local"]), height // 768, width // 768


_GOT = "got_ocr2.GotOcr2ImageProcessor"
_QWEN2 = "qwen2_vl.Qwen2VLImageProcessor"
_PIXTRAL = "pixtral.PixtralImageProcessor"
_IDEFICS_MARKS = tuple(f"<row_{r}_col_{c}>" for r in range(1, 9) for c in range(1, 9))
_EDGES = {"boi_token": "<boi>", "eoi_token": "<eoi>"}
_QWEN_NAMES = {"image_token": "<image>", "video_token": "<video>"}
_GEMMA3 = {
    "processor": "gemma3.Gemma3Processor",
    "image_processor": "gemma3.Gemma3ImageProcessor",
    "count": _gemma3,
    "images": _square(896),
    "names": {**_EDGES, "image_token": "<image>"},
    "placeholder": "<boi>",
    "counted": "<image>",
}


def _pixel_range(low: int, high: int) -> dict[str, dict[str, int]]:
    return {"size": {"shortest_edge": low, "longest_edge": high}}


PROCESSORS: dict[str, Asked] = {
    "internvl": Asked(
        "internvl.InternVLProcessor", _GOT, _canvas(448), _square(448),
        names={
            "start_image_token": "<img>", "end_image_token": "</img>",
            "context_image_token": "<image>", "video_token": "<video>",
        },
    ),
    "aya": Asked(
        "aya_vision.AyaVisionProcessor", _GOT, _canvas(364), _square(364),
        tokens=(
            "<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>",
            "TILE_GLOBAL", *(f"TILE_{i}" for i in range(12, 0, -1)),
        ),
        counted="<|IMG_PATCH|>",
    ),
    "cohere2": Asked(
        "cohere2_vision.Cohere2VisionProcessor", "cohere2_vision.Cohere2VisionImageProcessor",
        _canvas(512),
        names={**_EDGES, "image_token": "<image>", "img_line_break_token": "<break>"},
    ),
    "llava_next": Asked(
        "llava_next.LlavaNextProcessor", "llava_next.LlavaNextImageProcessor", _pinpoint(336),
        {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}},
        {
            "patch_size": 14, "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
        },
    ),
    "llava_ov": Asked(
        "llava_onevision.LlavaOnevisionProcessor", "llava_onevision.LlavaOnevisionImageProcessor",
        _pinpoint(384),
        settings={"num_image_tokens": 729, "vision_feature_select_strategy": "full"},
        tokens=("<video>",),
    ),
    "granite4": Asked(
        "granite4_vision.Granite4VisionProcessor", "llava_next.LlavaNextImageProcessor",
        _pinpoint(384),
        {
            **_square(384), "crop_size": {"height": 384, "width": 384},
            "image_grid_pinpoints": [
                [384 * r, 384 * c] for r in range(1, 11) for c in range(1, 11) if r * c <= 10
            ],
        },
        {"patch_size": 16, "downsample_rate": "4/8", "vision_feature_select_strategy": "full"},
    ),
    "idefics3": Asked(
        "idefics3.Idefics3Processor", "idefics3.Idefics3ImageProcessor", _split,
        settings={"image_seq_len": 169},
        tokens=("<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *_IDEFICS_MARKS),
    ),
    "smolvlm2": Asked(
        "smolvlm.SmolVLMProcessor", "smolvlm.SmolVLMImageProcessor", _split,
        {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}},
        {"image_seq_len": 64},
        tokens=("<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *_IDEFICS_MARKS),
    ),
    "gemma3": Asked(**_GEMMA3),
    "gemma3_pan_and_scan": Asked(**_GEMMA3, call={"do_pan_and_scan": True}),
    "gemma4": Asked(
        "gemma4.Gemma4Processor", "gemma4.Gemma4ImageProcessor", _cells(48),
        names={
            **_EDGES, "image_token": "<image>", "audio_token": "<audio>", "boa_token": "<boa>",
            "eoa_token": "<eoa>", "video_token": "<video>",
        },
    ),
    "pixtral": Asked(
        "pixtral.PixtralProcessor", _PIXTRAL, _cells(16),
        tokens=("[IMG_BREAK]", "[IMG_END]"), placeholder="[IMG]",
    ),
    "mistral3": Asked(
        "pixtral.PixtralProcessor", _PIXTRAL, _cells(28),
        {"size": {"longest_edge": 1540}, "patch_size": {"height": 14, "width": 14}},
        {"patch_size": 14, "spatial_merge_size": 2},
        tokens=("[IMG_BREAK]", "[IMG_END]"), placeholder="[IMG]",
    ),
    "lighton": Asked(
        "lighton_ocr.LightOnOcrProcessor", _PIXTRAL, _cells(28),
        {"size": {"longest_edge": 1540}, "patch_size": {"height": 28, "width": 28}},
        {"patch_size": 14, "spatial_merge_size": 2},
        names={"image_token": "<image>", "image_break_token": "<br>", "image_end_token": "<end>"},
    ),
    "qwen2_vl": Asked("qwen2_vl.Qwen2VLProcessor", _QWEN2, _merged, names=_QWEN_NAMES),
    "qwen2_5_vl": Asked(
        "qwen2_5_vl.Qwen2_5_VLProcessor", _QWEN2, _merged, _pixel_range(3136, 12845056),
        names=_QWEN_NAMES,
    ),
    "qwen3_vl": Asked(
        "qwen3_vl.Qwen3VLProcessor", _QWEN2, _merged,
        {**_pixel_range(65536, 16777216), "patch_size": 16},
        names={
            **_QWEN_NAMES, "vision_start_token": "<vs>", "vision_end_token": "<ve>",
        },
    ),
    "glm4v": Asked(
        "glm4v.Glm4vProcessor", "glm4v.Glm4vImageProcessor", _merged, names=_QWEN_NAMES,
        tokens=("<|begin_of_video|>", "<|end_of_video|>"),
    ),
    "glm46v": Asked(
        "glm46v.Glm46VProcessor", "glm46v.Glm46VImageProcessor", _merged, names=_QWEN_NAMES,
        tokens=("<|begin_of_video|>", "<|end_of_video|>"),
    ),
    "kimi_k25": Asked(
        "kimi_k25.Kimi_K25Processor", "kimi_k25.Kimi_K25ImageProcessor", _merged, names=_QWEN_NAMES
    ),
    "emu3": Asked(
        "emu3.Emu3Processor", "emu3.Emu3ImageProcessor", _cells(8),
        {"do_rescale": False, "do_normalize": False},
        names={
            **_EDGES, "image_token": "<image>", "image_wrapper_token": "<wrap>",
            "eof_token": "<eof>", "bos_token": "<bos>",
        },
        device="pillow",
    ),
    "ovis2": Asked(
        "ovis2.Ovis2Processor", "ovis2.Ovis2ImageProcessor", _ovis2,
        {**_square(448), "crop_to_patches": True, "max_patches": 9},
        tokens=(
            "<IMG_START>", "<IMG_ATOM>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>",
        ),
        counted="<IMG_ATOM>",
    ),
    "plm": Asked(
        "perception_lm.PerceptionLMProcessor", "perception_lm.PerceptionLMImageProcessor",
        _tiles, settings={"patch_size": 14, "pooling_ratio": 2}, names=_QWEN_NAMES, device="cpu",
    ),
    "lfm2_vl": Asked(
        "lfm2_vl.Lfm2VlProcessor", "lfm2_vl.Lfm2VlImageProcessor", _lfm2,
        names={
            "image_token": "<image>", "image_start_token": "<|image_start|>",
            "image_end_token": "<|image_end|>", "image_thumbnail_token": "<|img_thumbnail|>",
        },
    ),
    "llama4": Asked(
        "llama4.Llama4Processor", "llama4.Llama4ImageProcessor", _llama4,
        tokens=(
            "<|image_start|>", "<|image_end|>", "<|patch|>", "<|tile_x_separator|>",
            "<|tile_y_separator|>",
        ),
        placeholder="<|image|>", counted="<|patch|>", device="cpu",
    ),
    "mllama": Asked(
        "mllama.MllamaProcessor", "mllama.MllamaImageProcessor", _mllama, _square(560),
        names={"image_token": "<|image|>", "bos_token": "<bos>"}, tokens=("<|python_tag|>",),
        placeholder="<|image|>",
    ),
    "molmo2": Asked(
        "molmo2.Molmo2Processor", "molmo2.Molmo2ImageProcessor", _molmo2,
        names={"image_token": "<image>", "video_token": "<video>", "bos_token": "<bos>"},
        tokens=(
            "<im_patch>", "<im_col>", "<im_start>", "<low_res_im_start>", "<frame_start>",
            "<im_end>", "<frame_end>", "<im_low>",
        ),
        counted="<im_patch>", device="cpu",
    ),
    "phi4": Asked(
        "phi4_multimodal.Phi4MultimodalProcessor",
        "phi4_multimodal.Phi4MultimodalImageProcessor", _phi4,
        names={"image_token": "<image>", "audio_token": "<audio>"}, device="cpu",
    ),
    "minicpmv4_6": Asked(
        "minicpmv4_6.MiniCPMV4_6Processor", "minicpmv4_6.MiniCPMV4_6ImageProcessor", _minicpm,
        names={
            **_QWEN_NAMES, "image_start_token": "<im>", "image_end_token": "</im>",
            "slice_start_token": "<slice>", "slice_end_token": "</slice>",
            "image_id_start_token": "<id>", "image_id_end_token": "</id>",
        },
    ),
    "deepseek_vl": Asked(
        "deepseek_vl.DeepseekVLProcessor", "deepseek_vl.DeepseekVLImageProcessor", _single,
        names={"image_token": "<image>"},
    ),
    "deepseek_vl_hybrid": Asked(
        "deepseek_vl_hybrid.DeepseekVLHybridProcessor",
        "deepseek_vl_hybrid.DeepseekVLHybridImageProcessor", _single,
        names={"image_token": "<image>"},
    ),
    "janus": Asked(
        "janus.JanusProcessor", "janus.JanusImageProcessor", _single,
        names={**_EDGES, "image_token": "<image>"},
    ),
    "aria": Asked(
        "aria.AriaProcessor", "aria.AriaImageProcessor", _single, names={"image_token": "<image>"}
    ),
    "deepseek_ocr2": Asked(
        "deepseek_ocr2.DeepseekOcr2Processor", "deepseek_ocr2.DeepseekOcr2ImageProcessor",
        _deepseek_ocr2, names={"image_token": "<image>"},
    ),
}  # fmt: skip
"""By the names of tierexp's presets."""


def _tokenizer(asked: Asked) -> PreTrainedTokenizerFast:
    """A token a byte, and the special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    names = dict(asked.names)
    own = {name: names.pop(name) for name in ("bos_token",) if name in names}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only,
        extra_special_tokens=names,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<eos>",
        **own,
    )
    tokenizer.add_tokens([asked.placeholder, *asked.tokens], special_tokens=True)
    return tokenizer


def _load(dotted: str, folder: str) -> Any:
    module, name = dotted.split(".")
    found = import_module(f"transformers.models.{module}.{folder}_{module}")
    if hasattr(found, "num2words"):
        found.num2words = str  # for videos only
    if module == "emu3" and hasattr(found, "resize"):
        found.resize = _resize_array
    return getattr(found, name)


def _resize_array(
    image: Any, size: tuple[int, int], input_data_format: ChannelDimension, **_: Any
) -> Any:
    shapes.resized.append(size)
    if input_data_format is ChannelDimension.FIRST:
        return np.zeros((image.shape[0], *size), np.uint8)
    return np.zeros((*size, image.shape[-1]), np.uint8)


class Reference:
    """One of `PROCESSORS`, ready to be asked."""

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self._asked = asked = PROCESSORS[name]
        images = {**asked.images, **settings}
        parts: dict[str, Any] = {
            "image_processor": _load(asked.image_processor, "image_processing")(**images),
            "tokenizer": _tokenizer(asked),
        }
        processor = _load(asked.processor, "processing")
        for part in processor.get_attributes():
            parts.setdefault(part, None)
        if name == "minicpmv4_6":
            parts["video_processor"] = parts["image_processor"]
        self._processor = processor(**parts, **asked.settings)
        self._counted = parts["tokenizer"].convert_tokens_to_ids(asked.counted or asked.placeholder)
        self._made: Made = {}
        self._keep(parts["image_processor"])

    def _keep(self, image_processor: Any) -> None:
        """Keep what the image processor makes: the processor drops a part of it."""
        preprocess = image_processor.preprocess

        def kept(*args: Any, **kwargs: Any) -> Any:
            made = preprocess(*args, **kwargs)
            self._made = dict(made)
            return made

        image_processor.preprocess = kept

    def ask(self, height: int, width: int) -> list[int] | str:
        """Tokens, marks, images, rows and columns; the reason where the processor refuses."""
        shapes.resized.clear()
        shapes.padded.clear()
        asked = self._asked
        try:
            text = self._processor(
                images=[_picture(height, width, asked.device)],
                text=[asked.placeholder],
                return_tensors="pt",
                **asked.call,
            )
        except (ValueError, RuntimeError, ZeroDivisionError) as error:
            return f"{type(error).__name__}: {error}"
        ids = text["input_ids"][0].tolist()
        tokens = ids.count(self._counted)
        of_sizes = {"resized": shapes.resized, "padded": shapes.padded, "asked": (height, width)}
        images, rows, cols = (int(number) for number in asked.count(self._made | of_sizes))
        return [tokens, len(ids) - tokens, images, rows, cols]


def _picture(height: int, width: int, device: str) -> Any:
    if device == "pillow":
        return Image.new("RGB", (width, height))
    return torch.empty((3, height, width), dtype=torch.uint8, device=device)


def main() -> None:
    torch.set_num_threads(1)
    answers = []
    for name, settings, sizes in json.load(sys.stdin):
        reference = Reference(name, settings)
        answers.append([reference.ask(height, width) for height, width in sizes])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
