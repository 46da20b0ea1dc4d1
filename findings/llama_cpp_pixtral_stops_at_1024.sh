#!/usr/bin/env bash
# llama.cpp (in xllamacpp 2026.10.11549) and transformers 5.24.0: the tokens of a picture for Pixtral and for
# Mistral Small 3.1, in files that hold the checkpoints' longest side, 1,024 and 1,540 pixels.
#
# Guess: a picture within that side is seen at its own size, as by the maker's own code and by transformers.
# What happens: the side that the file holds is not what limits a picture: 1,024 tokens do, for every model of this
#   kind. 1024 x 1024 is 4,096 patches for Pixtral, and is shrunk to a quarter of its pixels and 1,024 here;
#   1540 x 1540 is 3,025 tokens for Mistral Small 3.1, and 1,024. Pictures of 512 x 512 and less agree.
#   `image_max_tokens` (--image-max-tokens) of 4,096 gives them all back.
# Who is hurt: documents, charts and screens: figures that are measured with the library are not those of a server
#   that seems to be fast and thrifty with the same weights; costs that are planned from the checkpoint's settings.
# Tiny random models with the published sizes of pictures and patches: no weights are needed to count.
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
        writer.add_string("clip.projector_type", "pixtral")
        for value in ("mean", "std"):
            writer.add_array(f"clip.vision.image_{value}", [0.5] * 3)

    numbers = {"image_size": side, "patch_size": patch, "spatial_merge_size": merge, "embedding_length": WIDTH,
               "feed_forward_length": WIDTH, "projection_dim": WIDTH, "block_count": 1, "attention.head_count": 2,
               "attention.layer_norm_epsilon": 1e-6}
    parts = dict.fromkeys(
        ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_gate", "ffn_up", "ffn_down"), SQUARE
    ) | {"ln1": NORM, "ln2": NORM}
    shapes = {"v.patch_embd.weight": (WIDTH, 3, patch, patch), "v.pre_ln.weight": NORM, "mm.1.weight": SQUARE,
              "mm.2.weight": SQUARE, "v.token_embd.img_break": NORM}
    shapes |= {f"v.blk.0.{part}.weight": shape for part, shape in parts.items()}
    if merge > 1:
        shapes |= {"mm.input_norm.weight": NORM, "mm.patch_merger.weight": (WIDTH, WIDTH * merge**2)}
    return write(f"{name}.gguf", "clip", settings, {f"clip.vision.{key}": value for key, value in numbers.items()},
                 shapes)


def server(name: str, most: int, *sizes: int) -> xllamacpp.Server:
    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.mmproj.path = language(), vision(name, *sizes)
    parameters.warmup, parameters.n_parallel, parameters.verbosity = False, 1, 1
    if most:
        parameters.image_max_tokens = most
    return xllamacpp.Server(parameters)


def asked(server: xllamacpp.Server, size: tuple[int, int]) -> int:
    data = io.BytesIO()
    Image.new("RGB", size).save(data, "png")
    url = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}]
    answer = server.handle_chat_completions({"messages": [{"role": "user", "content": content}], "max_tokens": 1})
    return answer["usage"]["prompt_tokens"]


def published(side: int, cell: int, size: tuple[int, int]) -> tuple[int, int]:
    processor = PixtralImageProcessorPil(patch_size=cell, size={"longest_edge": side})
    (height, width), = processor(Image.new("RGB", size))["image_sizes"]
    return height // cell, width // cell


CASES = {"Pixtral": ((1024, 16, 1), ((512, 512), (1024, 1024))),
         "Mistral Small 3.1": ((1540, 14, 2), ((504, 504), (1540, 1540)))}
seen = {}
for name, ((side, patch, merge), sizes) in CASES.items():
    for most in (0, 4096):
        model = server(name.split()[0].lower(), most, side, patch, merge)
        # A square picture of n x n tokens has n - 1 more at the ends of rows, and a few stand around it.
        around = asked(model, (10 * patch * merge,) * 2) - (10 * 10 + 9)
        for size in sizes:
            rows, columns = published(side, patch * merge, size)
            prompt = asked(model, size) - around
            count = max(n * n for n in range(65) if n * n + n - 1 <= prompt)
            seen[name, most, size] = count, rows * columns
            print(f"xllamacpp {version('xllamacpp')}, {name}, {f'image_max_tokens={most}' if most else 'default'}: "
                  f"{size[0]} x {size[1]} is {count} tokens; transformers {version('transformers')}: {rows * columns}")
        del model
wanted = [(1024, 1024), (1024, 4096), (1024, 1024), (4096, 4096), (324, 324), (1024, 3025), (324, 324), (3025, 3025)]
sys.exit([*seen.values()] != wanted)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
