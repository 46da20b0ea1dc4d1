#!/usr/bin/env bash
# llama.cpp (in xllamacpp 2026.10.11549) and transformers 5.24.0: the crops that InternVL cuts a picture into.
#
# Guess: both follow InternVL's published rule, so that a picture has the same crops and tokens in both.
# What happens: the published rule takes the grid whose shape is nearest, at any size: every photo of 4:3 is 13 crops,
#   3,328 tokens. llama.cpp takes the smallest grid that holds the picture's pixels, which is LLaVA-1.6's rule:
#   400 x 300 is 1 crop, 640 x 480 is 5, 1024 x 768 is 7, 1600 x 1200 is 13. It goes the other way, too: 1920 x 1080
#   is 13 crops for 9, as a grid of 4 x 3. Of 50 seeded sizes 34 differ.
# Who is hurt: whoever measures with the one and serves with the other: a third of the tokens and of the detail for a
#   photo of the usual size, crops squashed into shapes that the weights have not been trained on, counts that are
#   planned in vain.
# A tiny random model with InternVL's sizes of pictures and patches: no weights are needed to count.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet xllamacpp==2026.10.11549 gguf==0.19.0 transformers==5.24.0 numpy==2.3.5 \
  pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import base64
import io
import random
import sys
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import xllamacpp
from PIL import Image
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

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


def vision() -> str:
    def settings(writer: gguf.GGUFWriter) -> None:
        writer.add_bool("clip.has_vision_encoder", True)
        writer.add_string("clip.projector_type", "internvl")
        for name in ("mean", "std"):
            writer.add_array(f"clip.vision.image_{name}", [0.5] * 3)

    numbers = {"image_size": 448, "patch_size": 14, "projector.scale_factor": 2, "embedding_length": WIDTH,
               "feed_forward_length": WIDTH, "projection_dim": WIDTH, "block_count": 1, "attention.head_count": 2,
               "attention.layer_norm_epsilon": 1e-6}
    parts = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down"), SQUARE)
    parts |= {"ln1": NORM, "ln2": NORM}
    projector = {"0": (4 * WIDTH,), "1": (WIDTH, 4 * WIDTH), "3": SQUARE}
    shapes = {"v.class_embd": NORM, "v.position_embd.weight": (32 * 32 + 1, WIDTH),
              "v.patch_embd.weight": (WIDTH, 3, 14, 14)}
    shapes |= {f"v.blk.0.{part}.weight": shape for part, shape in parts.items()}
    shapes |= {f"mm.model.mlp.{layer}.weight": shape for layer, shape in projector.items()}
    shapes |= {f"mm.model.mlp.{layer}.bias": shape[:1] for layer, shape in projector.items()}
    return write("vision.gguf", "clip", settings, {f"clip.vision.{key}": value for key, value in numbers.items()},
                 shapes)


parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.mmproj.path = language(), vision()
parameters.warmup, parameters.n_parallel, parameters.verbosity = False, 1, 1
server = xllamacpp.Server(parameters)


def served(size: tuple[int, int]) -> int:
    data = io.BytesIO()
    Image.new("RGB", size).save(data, "png")
    url = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}]
    answer = server.handle_chat_completions({"messages": [{"role": "user", "content": content}], "max_tokens": 1})
    crops, around = divmod(answer["usage"]["prompt_tokens"], 256)
    assert around == 14, "what stands around the picture's tokens"
    return crops


def published(size: tuple[int, int]) -> int:
    columns, rows = get_optimal_tiled_canvas(size[::-1], (448, 448), 1, 12)
    return columns * rows + (columns * rows > 1)


seen = {}
for size in ((400, 300), (640, 480), (1024, 768), (1600, 1200), (1920, 1080), (448, 448)):
    seen[size] = served(size), published(size)
    print(f"xllamacpp {version('xllamacpp')}: {size[0]} x {size[1]} is {seen[size][0]} crops, "
          f"{seen[size][0] * 256} tokens; transformers {version('transformers')}: {seen[size][1]}")
draw = random.Random(0)
sizes = [(draw.randint(100, 2000), draw.randint(100, 2000)) for _ in range(50)]
differing = sum(served(size) != published(size) for size in sizes)
print(f"{differing} of {len(sizes)} sizes have another number of crops")
sys.exit([*seen.values()] != [(1, 13), (5, 13), (7, 13), (13, 13), (13, 9), (1, 1)] or differing != 34)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
