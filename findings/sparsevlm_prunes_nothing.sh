#!/usr/bin/env bash
# sparsevlm 0.1.3 (`patch_qwen2vl`) with transformers 5.24.0.
#
# Guess: a patched Qwen2-VL drops vision tokens, or the patch says that it cannot: the package asks for
#   transformers 4.40 or later.
# What happens: the patch prints that its hooks are registered, and nothing is ever dropped. It looks
#   for attention weights in what a decoder layer returns; layers return the hidden states alone now,
#   and a layer without weights is passed over in silence. Every layer sees all tokens, and the logits
#   are the unpatched model's bit by bit, with the eager attention kernel, too.
# Who is hurt: whoever takes it as a baseline: its accuracy is the full model's, "at a third of the
#   tokens".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 torch==2.13.0 numpy==2.3.5
"$folder/env/bin/pip" install --quiet --no-deps sparsevlm==0.1.3
cat > "$folder/run.py" <<'PY'
import sys

import torch
import transformers
from sparsevlm.patch import patch_qwen2vl
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

torch.manual_seed(0)
config = Qwen2VLConfig(
    text_config=dict(
        hidden_size=64, intermediate_size=128, num_hidden_layers=8, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=200, bos_token_id=1, eos_token_id=2,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
    ),
    vision_config=dict(depth=2, embed_dim=32, num_heads=2, hidden_size=64, patch_size=14, mlp_ratio=2),
    image_token_id=190, vision_start_token_id=191, vision_end_token_id=192, video_token_id=193,
)
model = Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="eager").eval()
vision = 196  # tokens, at the front, where the package expects them
ids = torch.cat([torch.full((1, vision), 190), torch.arange(10, 30)[None]], dim=1)
inputs = dict(
    input_ids=ids,
    pixel_values=torch.randn(4 * vision, 3 * 2 * 14 * 14),
    image_grid_thw=torch.tensor([[1, 28, 28]]),
    mm_token_type_ids=(ids == 190).int(),
)
lengths: list[int] = []
for layer in model.model.language_model.layers:
    layer.self_attn.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(kwargs["hidden_states"].shape[1]), with_kwargs=True
    )
with torch.no_grad():
    plain = model(**inputs).logits
    lengths.clear()
    patch_qwen2vl(model, n_vis=vision, min_keep=32)
    patched = model(**inputs).logits
print(f"transformers {transformers.__version__}, sparsevlm 0.1.3: tokens that each layer sees {lengths}")
print(f"logits equal the unpatched model's, bit by bit: {torch.equal(plain, patched)}")
sys.exit({*lengths} != {vision + 20} or not torch.equal(plain, patched))
PY
"$folder/env/bin/python" "$folder/run.py"
