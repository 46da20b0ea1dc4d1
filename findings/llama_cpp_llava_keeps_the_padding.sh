#!/usr/bin/env bash
# llama.cpp (in xllamacpp 2026.10.11549) and transformers 5.24.0: the tokens of a picture for LLaVA-1.6, whose
# file says `mm_patch_merge_type` "spatial_unpad" and holds the learned `image_newline`, as the format provides for it.
#
# Guess: what is padded to fill the grid of crops is taken out behind the encoder, and each row ends with the newline,
#   as the model was trained and as its name says: 1000 x 200 is 1,598 tokens.
# What happens: both are read from the file, and the crops go to the language model whole, one after the other, without
#   a newline. 1000 x 200 is 2,304 tokens, of which nearly 700 are padding; 1000 x 100 is 2,304 for 1,160. Up to 336
#   pixels a side a picture is one crop, 576 tokens, for 1,176 (two copies) there.
# Who is hurt: whoever serves LLaVA-1.6 with it: wide and tall pictures pay up to twice the tokens for nothing, and
#   rows of crops stand where the model has learned rows of the picture; counts that are planned with the library.
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
import types
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import xllamacpp
from PIL import Image
from transformers import LlavaNextImageProcessorPil, LlavaNextProcessor

FOLDER = Path(sys.argv[1])
WIDTH = 64
NORM, SQUARE = (WIDTH,), (WIDTH, WIDTH)
PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]


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
        writer.add_string("clip.projector_type", "mlp")
        writer.add_string("clip.vision.mm_patch_merge_type", "spatial_unpad")
        writer.add_array("clip.vision.image_grid_pinpoints", [side for pair in PINPOINTS for side in pair])
        for value in ("mean", "std"):
            writer.add_array(f"clip.vision.image_{value}", [0.5] * 3)

    numbers = {"image_size": 336, "patch_size": 14, "embedding_length": WIDTH, "feed_forward_length": WIDTH,
               "projection_dim": WIDTH, "block_count": 1, "attention.head_count": 2,
               "attention.layer_norm_epsilon": 1e-6}
    parts = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down"), SQUARE)
    parts |= {"ln1": NORM, "ln2": NORM}
    shapes = {"v.class_embd": NORM, "v.position_embd.weight": (24 * 24 + 1, WIDTH), "v.image_newline": NORM,
              "v.patch_embd.weight": (WIDTH, 3, 14, 14), "v.pre_ln.weight": NORM, "v.pre_ln.bias": NORM}
    shapes |= {f"mm.{layer}.weight": SQUARE for layer in (0, 2)} | {f"mm.{layer}.bias": NORM for layer in (0, 2)}
    shapes |= {f"v.blk.0.{part}.weight": shape for part, shape in parts.items()}
    return write("vision.gguf", "clip", settings, {f"clip.vision.{key}": value for key, value in numbers.items()},
                 shapes)


parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.mmproj.path = language(), vision()
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
    # The processor's own count, without the tokenizer that a whole processor asks for. It counts CLIP's class, too.
    parts = types.SimpleNamespace(
        image_processor=LlavaNextImageProcessorPil(image_grid_pinpoints=PINPOINTS), patch_size=14,
        num_additional_image_tokens=1, vision_feature_select_strategy="default",
    )
    parts._get_unpadded_features = types.MethodType(LlavaNextProcessor._get_unpadded_features, parts)
    return LlavaNextProcessor._get_number_of_features(parts, size[1], size[0], 336, 336) - 1


seen = {}
for size in ((1000, 200), (1000, 100), (640, 480), (672, 672), (336, 336)):
    seen[size] = served(size), published(size)
    print(f"xllamacpp {version('xllamacpp')}: {size[0]} x {size[1]} is {seen[size][0]} tokens; transformers "
          f"{version('transformers')}: {seen[size][1]}")
wanted = [(2304, 1598), (2304, 1160), (2880, 2340), (2880, 2928), (576, 1176)]
sys.exit([*seen.values()] != wanted)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder"
