#!/usr/bin/env bash
# transformers 5.24.0, Gemma 3 and PaliGemma asked with ids, pixels and mask, without the `token_type_ids` of the
# processor.
#
# Guess: which tokens are the picture's is known from their id, so that the decoder looks at them as it was trained: all
#   of a picture's tokens see one another, and PaliGemma's question sees all of itself.
# What happens: without the types every token sees those before it alone, and nothing is said: the first token of a
#   picture gives the last one no attention, in place of a share, and the answer's scores are others. The same types
#   under `mm_token_type_ids`, as Gemma's own processor calls them inside and Qwen's models do outside, are taken and
#   ignored.
# Who is hurt: whoever builds inputs by hand, prunes tokens, packs samples or exports the model, and hands on the three
#   inputs that all other families need: accuracy is a little worse, and no error says why; token pruning and prefix
#   caches that are judged by such figures.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 torch==2.13.0 numpy==2.3.5
cat > "$folder/run.py" <<'PY'
import sys

import torch
import transformers as hf

PICTURE = 62
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = hf.SiglipVisionConfig(image_size=56, patch_size=14, **SIZES)
TEXT = SIZES | {"vocab_size": 64, "num_key_value_heads": 2, "head_dim": 16}
MODELS = {
    "Gemma 3": (hf.Gemma3Config(
        vision_config=VISION, text_config=hf.Gemma3TextConfig(**TEXT), mm_tokens_per_image=4, image_token_id=PICTURE,
        boi_token_index=60, eoi_token_index=61,
    ), 4),
    "PaliGemma": (hf.PaliGemmaConfig(
        vision_config=VISION, text_config=hf.GemmaConfig(**TEXT), image_token_id=PICTURE, projection_dim=32
    ), 16),
}
seen = {}
for name, (config, count) in MODELS.items():
    torch.manual_seed(0)
    model = hf.AutoModelForImageTextToText.from_config(config, attn_implementation="eager").eval()
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.2)
    # PaliGemma's types tell what is asked (0) from what is answered (1); Gemma 3's what is a picture.
    ids = torch.tensor([[PICTURE] * count + [5, 6, 7]])
    types = (ids == PICTURE).long() if name == "Gemma 3" else torch.zeros_like(ids)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": torch.randn(1, 3, 56, 56)}
    with torch.no_grad():
        for given in ({"token_type_ids": types}, {}, {"mm_token_type_ids": types}):
            output = model(**inputs, **given, output_attentions=True)
            share = output.attentions[0][0, :, 0, count - 1].mean().item()
            seen[name, next(iter(given), "")] = share, output.logits[0, -1]
            print(f"transformers {hf.__version__}, {name}, {next(iter(given), 'no types')}: the first token of the "
                  f"picture gives {share:.3f} of its attention to the last")
    moved = (seen[name, "token_type_ids"][1] - seen[name, ""][1]).abs().max().item()
    print(f"{name}: the scores behind the question differ by up to {moved:.4f}")
    seen[name, "moved"] = moved
sys.exit(not all(
    seen[name, "token_type_ids"][0] > 0.01 and seen[name, ""][0] == 0 and seen[name, "moved"] > 1e-4
    and torch.equal(seen[name, "mm_token_type_ids"][1], seen[name, ""][1]) for name in MODELS
))
PY
"$folder/env/bin/python" "$folder/run.py"
