#!/usr/bin/env bash
# transformers 5.24.0: how sure a vision-language model is of its answer, by `generate(output_scores=True)` and
# `compute_transition_scores`, with generation settings as checkpoints of Qwen2-VL and Qwen2.5-VL bring them along.
#
# Guess: the probability of each token that was written: 0.02 for a model of random weights that has 64 words.
# What happens: 1.0 for each, in every answer. Such checkpoints sample, at a temperature of next to nothing (or among
#   one token), so that they answer greedily; and `scores` are those behind that temperature. `output_logits=True`
#   with `outputs.logits` gives 0.02. With `do_sample=False` the scores are still those behind the checkpoint's
#   repetition penalty: words of the question, and placeholders of the picture, have been made less likely.
# Who is hurt: routers, cascades and calibration that are fitted on confidence: every answer is certain, and thresholds
#   do nothing, or pick by rounding; with LLaVA, whose checkpoints do not sample, the same lines are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 torch==2.13.0 numpy==2.3.5
cat > "$folder/run.py" <<'PY'
import sys

import torch
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    __version__,
)

PICTURE = 63
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
SETTINGS = {
    "as in Qwen2.5-VL": {"do_sample": True, "temperature": 1e-6, "repetition_penalty": 1.05},
    "as in Qwen2-VL": {"do_sample": True, "temperature": 0.01, "top_k": 1, "top_p": 0.001},
    "greedy, with the penalty": {"do_sample": False, "repetition_penalty": 1.05},
    "greedy": {"do_sample": False},
}
torch.manual_seed(0)
model = LlavaForConditionalGeneration(LlavaConfig(
    vision_config=CLIPVisionConfig(image_size=28, patch_size=14, **SIZES),
    text_config=LlamaConfig(vocab_size=64, bos_token_id=1, eos_token_id=None, pad_token_id=0, **SIZES),
    image_token_id=PICTURE, vision_feature_layer=-1,
)).eval()
question = torch.tensor([[PICTURE] * 4 + [5, 6, 7, 8]])
pixels = torch.randn(1, 3, 28, 28)
seen = {}
for name, settings in SETTINGS.items():
    model.generation_config = GenerationConfig(max_new_tokens=4, pad_token_id=0, **settings)
    answer = model.generate(
        input_ids=question, attention_mask=torch.ones_like(question), pixel_values=pixels, output_scores=True,
        output_logits=True, return_dict_in_generate=True,
    )
    told, true = (
        model.compute_transition_scores(answer.sequences, steps, normalize_logits=True)[0].exp()
        for steps in (answer.scores, answer.logits)
    )
    seen[name] = told, true
    print(f"transformers {__version__}, {name}: by scores {[round(value, 4) for value in told.tolist()]}, "
          f"by logits {[round(value, 4) for value in true.tolist()]}")
sampled = [seen[name][0].min().item() > 0.999 for name in ("as in Qwen2.5-VL", "as in Qwen2-VL")]
unsure = all(true.max().item() < 0.05 for _, true in seen.values())
penalised, plain = (seen[name] for name in ("greedy, with the penalty", "greedy"))
sys.exit(not (
    all(sampled) and unsure and torch.equal(*plain) and not torch.allclose(*penalised, rtol=1e-3, atol=0)
))
PY
"$folder/env/bin/python" "$folder/run.py"
