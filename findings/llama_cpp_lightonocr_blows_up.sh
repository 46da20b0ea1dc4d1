#!/usr/bin/env bash
# llama.cpp (in xllamacpp 2026.10.11549) and transformers 5.24.0: the tokens of a picture for LightOnOCR, whose
# file holds the checkpoint's longest side, 1,540 pixels.
#
# Guess: 1,540 is a limit, as it is in the library: a page is brought down to it, and what is smaller stays as it is.
# What happens: the longer side is brought to 1,540 up as well as down. A stamp of 100 x 100 is 3,025 tokens, as many
#   as the largest page, where the library makes 16; a line of text of 600 x 60 is 330 for 66. Only the shape counts.
# Who is hurt: whoever cuts pages into lines, cells and stamps to read them one by one: up to 190 times the tokens, and
#   letters blown up to fifteen times the size that the weights have been trained on; batches that are sorted by size.
# A tiny random model with the published sizes of pictures and patches: no weights are needed to count.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet xllamacpp==2026.10.11549 gguf==0.19.0 transformers==5.24.0 numpy==2.3.5 \
  pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import base64
import io
import sys
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import xllamacpp
from PIL import Image
from transformers import PixtralImageProcessorPil

FOLDER = Path(sys.argv[1])
WIDTH = 64
NORM, SQUARE = (WIDTH,), (WIDTH, WIDTH)


def write(name: str, architecture: str, settings, numbers: dict, shapes: dict) -> str:
    draw, path = np.random.default_rng(0), str(FOLDER / name)
    writer = gguf.GGUFWriter(path, architecture)
    settings(writer)
    for key, value in numbers.items():
        (writer.add_float32 if isinstance(value, float) else writer.add_uint32)(key, value)
    for key, shape in shapes.items():
        writer.add_tensor(key, draw.normal(0, 0.02, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def language() -> str:
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581"]

    def settings(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores([0.0] * len(tokens))
        writer.add_token_types([2, 3, 3, *[6] * 256, 1])
        writer.add_chat_template("{% for message in messages %}{{ message['content'] }}{% endfor %}")

    numbers = {"context_length": 8192, "embedding_length": WIDTH, "block_count": 1, "feed_forward_length": WIDTH,
               "attention.head_count": 2, "attention.layer_norm_rms_epsilon": 1e-5}
    parts = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"), SQUARE)
    parts |= {"attn_norm": NORM, "ffn_norm": NORM}
    shapes = {"token_embd.weight": (len(tokens), WIDTH), "output_norm.weight": NORM}
    return write("language.gguf", "llama", settings, {f"llama.{key}": value for key, value in numbers.items()},
                 shapes | {f"blk.0.{part}.weight": shape for part, shape in parts.items()})


def vision(name: str, side: int, patch: int, merge: int) -> str:
    def settings(writer: gguf.GGUFWriter) -> None:
        writer.add_bool("clip.has_vision_encoder", True)
        writer.add_string("clip.projector_type", "lightonocr")
        for value in ("mean", "std"):
            writer.add_array(f"clip.vision.image_{value}", [0.5] * 3)

    numbers = {"image_size": side, "patch_size": patch, "spatial_merge_size": merge, "embedding_length": WIDTH,
               "feed_forward_length": WIDTH, "projection_dim": WIDTH, "block_count": 1, "attention.head_count": 2,
               "attention.layer_norm_epsilon": 1e-6}
    parts = dict.fromkeys(
        ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_gate", "ffn_up", "ffn_down"), SQUARE
    ) | {"ln1": NORM, "ln2": NORM}
    shapes = {"v.patch_embd.weight": (WIDTH, 3, patch, patch), "v.pre_ln.weight": NORM, "mm.1.weight": SQUARE,
              "mm.2.weight": SQUARE}
    shapes |= {f"v.blk.0.{part}.weight": shape for part, shape in parts.items()}
    shapes |= {"mm.input_norm.weight": NORM, "mm.patch_merger.weight": (WIDTH, WIDTH * merge**2)}
    return write(f"{name}.gguf", "clip", settings, {f"clip.vision.{key}": value for key, value in numbers.items()},
                 shapes)


parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.mmproj.path = language(), vision("lightonocr", 1540, 14, 2)
parameters.warmup, parameters.n_parallel, parameters.verbosity = False, 1, 1
server = xllamacpp.Server(parameters)


def asked(*content: dict) -> int:
    messages = [{"role": "user", "content": [*content, {"type": "text", "text": "a"}]}]
    return server.handle_chat_completions({"messages": messages, "max_tokens": 1})["usage"]["prompt_tokens"]


def served(size: tuple[int, int]) -> int:
    data = io.BytesIO()
    Image.new("RGB", size).save(data, "png")
    url = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    return asked({"type": "image_url", "image_url": {"url": url}}) - asked()


def published(size: tuple[int, int]) -> int:
    processor = PixtralImageProcessorPil(patch_size=28, size={"longest_edge": 1540})
    ((height, width),) = processor(Image.new("RGB", size))["image_sizes"]
    return height // 28 * (width // 28)


# What stands around the picture's tokens is the same for each: 1,540 pixels a side are 55 x 55 tokens.
around = served((1540, 1540)) - 55 * 55
seen = {}
for size in ((1540, 1540), (100, 100), (600, 60)):
    seen[size] = served(size) - around, published(size)
    print(f"xllamacpp {version('xllamacpp')}: {size[0]} x {size[1]} is {seen[size][0]} tokens; transformers "
          f"{version('transformers')}: {seen[size][1]}")
sys.exit([*seen.values()] != [(3025, 3025), (3025, 16), (330, 66)] or around > 30)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
