#!/usr/bin/env bash
# peft 0.21.2 with the vision-language models of transformers 5.24.0: `LoraConfig(target_modules=["q_proj", "v_proj"])`,
# the usual choice, with the encoder frozen before.
#
# Guess: adapters are put on the language model, whose layers these names are, and a part that has been frozen stays as
#   it is.
# What happens: the names are looked for everywhere. In LLaVA, LLaVA-OneVision, Gemma 3, Idefics3 and InternVL half of
#   the adapters (of two layers each) are the encoder's, and learn, `requires_grad_(False)` or not: what is frozen is
#   what they are added to. In Qwen2.5-VL, whose encoder has one `qkv`, none is. "all-linear" is the encoder and the
#   connector in each.
# Who is hurt: comparisons of families after "the same" fine-tuning: the encoder is trained in one and not in the
#   other; memory and time, as gradients go through every crop's encoder; pictures that were encoded once and stored.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 torch==2.13.0 numpy==2.3.5 accelerate==1.15.0
"$folder/env/bin/pip" install --quiet --no-deps peft==0.21.2
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import version

import transformers as hf
from peft import LoraConfig, get_peft_model

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = SIZES | {"vocab_size": 64, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
VISION = SIZES | {"image_size": 28, "patch_size": 14}
QWEN = {"hidden_size": 32, "intermediate_size": 64, "depth": 2, "num_heads": 2, "out_hidden_size": 32,
        "fullatt_block_indexes": [1]}
ROPE = {"rope_type": "default", "mrope_section": [2, 3, 3]}
CONFIGURATIONS = {
    "LLaVA": hf.LlavaConfig(vision_config=hf.CLIPVisionConfig(**VISION), text_config=hf.LlamaConfig(**TEXT)),
    "LLaVA-OneVision": hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(**VISION), text_config=hf.Qwen2Config(**TEXT)
    ),
    "Gemma 3": hf.Gemma3Config(
        vision_config=hf.SiglipVisionConfig(**VISION), text_config=hf.Gemma3TextConfig(**TEXT, head_dim=16)
    ),
    "Idefics3": hf.Idefics3Config(vision_config=VISION, text_config=hf.LlamaConfig(**TEXT)),
    "InternVL": hf.InternVLConfig(
        vision_config=VISION | {"image_size": [28, 28], "patch_size": [14, 14]}, text_config=hf.Qwen2Config(**TEXT)
    ),
    "Qwen2.5-VL": hf.Qwen2_5_VLConfig(vision_config=QWEN, text_config=TEXT | {"rope_parameters": ROPE}),
}
seen = {}
for name, configuration in CONFIGURATIONS.items():
    for targets in (["q_proj", "v_proj"], "all-linear"):
        model = hf.AutoModelForImageTextToText.from_config(configuration)
        for part, value in model.named_parameters():
            if "vision" in part or "visual" in part:
                value.requires_grad_(False)
        adapted = get_peft_model(model, LoraConfig(target_modules=targets, r=4))
        learning = {part.rsplit(".lora_", 1)[0] for part, value in adapted.named_parameters() if value.requires_grad}
        encoder = [part for part in learning if "vision" in part or "visual" in part]
        seen[name, str(targets)] = len(encoder), len(learning)
        print(f"peft {version('peft')}, {name}, {targets}: {len(encoder)} of {len(learning)} adapters are the "
              "encoder's")
few = {name: counts for (name, targets), counts in seen.items() if targets != "all-linear"}
many = [encoder for (_, targets), (encoder, _) in seen.items() if targets == "all-linear"]
sys.exit(few != dict.fromkeys(CONFIGURATIONS, (4, 8)) | {"Qwen2.5-VL": (0, 4)} or min(many) < 12)
PY
"$folder/env/bin/python" "$folder/run.py"
