#!/usr/bin/env bash
# transformers 5.24.0, processors of images and films (InternVL, Qwen2-VL, Qwen3-VL,
# LLaVA-OneVision) where torchvision is not installed.
#
# Guess: who asks about images alone leaves `video_processor` at None, which is its default.
# What happens: the class cannot be made. The check of the argument's type looks for the class of video
#   processors in a stand-in that was put in its place, and ends in "AttributeError: type object
#   'VIDEO_PROCESSOR_MAPPING' has no attribute '_extra_content'", which names neither torchvision nor the
#   argument. Image processors without torchvision (`...Pil`) are there, so nothing else is missing.
# Who is hurt: whoever runs such a model on images where torchvision cannot be installed, and whoever
#   looks for the cause of that message.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 torch==2.13.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import inspect
import sys
from importlib import import_module

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PROCESSORS = {
    "InternVLProcessor": "got_ocr2.GotOcr2ImageProcessorPil",
    "Qwen2VLProcessor": "qwen2_vl.Qwen2VLImageProcessorPil",
    "Qwen3VLProcessor": "qwen2_vl.Qwen2VLImageProcessorPil",
    "LlavaOnevisionProcessor": "llava_onevision.LlavaOnevisionImageProcessorPil",
}
NAMES = (
    "image_token", "video_token", "vision_start_token", "vision_end_token", "start_image_token",
    "end_image_token", "context_image_token",
)


def tokenizer():
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, [])),
        extra_special_tokens={name: f"<{name}>" for name in NAMES},
        pad_token="<pad>", unk_token="<unk>", eos_token="<eos>",
    )


print(f"transformers {transformers.__version__}, without torchvision")
as_said = []
for name, images in PROCESSORS.items():
    kind = getattr(transformers, name)
    module, image_processor = images.split(".")
    made = getattr(import_module(f"transformers.models.{module}.image_processing_pil_{module}"),
                   image_processor)()
    default = inspect.signature(kind.__init__).parameters["video_processor"].default
    try:
        kind(image_processor=made, tokenizer=tokenizer(), video_processor=None)
        said = "made"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    print(f"{name}(video_processor=None), default {default}: {said.splitlines()[0]}")
    as_said.append(default is None and said.startswith("AttributeError") and "_extra_content" in said)
sys.exit(not all(as_said))
PY
"$folder/env/bin/python" "$folder/run.py"
