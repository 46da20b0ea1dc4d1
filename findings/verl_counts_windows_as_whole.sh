#!/usr/bin/env bash
# verl 0.9.1, `FlopsCounter`, from which its training logs take their MFU, for Qwen2.5-VL, against what the encoder of
# transformers 5.24.0 multiplies, counted by torch 2.13.0's FlopCounterMode.
#
# Guess: the encoder's share is that of the model which is named: seven of its eight layers attend within windows of
#   8 x 8 patches, and its feed-forward has three matrices.
# What happens: the count of Qwen3-VL is taken for it: attention over the whole picture in every layer, two matrices,
#   and the merger once for each patch in place of once for four. An encoder of a quarter of the width that sees
#   672 x 672 pixels does 175 billion operations forward and backward, and 313 billion are counted, 1.8 times as many;
#   at 224 x 224 it is 1.1 times, at 896 x 896 2.3 times. At the published width the same comes at twice the side:
#   1.7 times at 1344 x 1344, and less than is done, 0.94, at 448 x 448.
# Who is hurt: MFU beside other tools and other models; sweeps over resolutions, in which larger pictures seem to use
#   the device better and better.
# The file alone: the package around it asks for all that training needs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 torch==2.13.0 numpy==2.3.5
"$folder/env/bin/pip" install --quiet --no-deps verl==0.9.1
cat > "$folder/run.py" <<'PY'
import importlib.util
import sys
import types
from importlib.metadata import distribution, version

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2_5_VLConfig, __version__
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

for name in ("verl", "verl.utils", "verl.utils.device"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["verl.utils.device"].get_torch_device = lambda: torch.cpu
path = distribution("verl").locate_file("verl/utils/flops_counter.py")
spec = importlib.util.spec_from_file_location("flops_counter", path)
verl = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verl)

# A quarter of the published width; one layer in eight sees the whole picture, as in the published 4 of 32.
config = Qwen2_5_VLConfig(vision_config={
    "hidden_size": 320, "intermediate_size": 855, "num_heads": 5, "depth": 8, "fullatt_block_indexes": [7],
    "out_hidden_size": 896, "window_size": 112, "patch_size": 14,
})
config.vision_config._attn_implementation = "eager"
encoder = Qwen2_5_VisionTransformerPretrainedModel(config.vision_config).eval()


def multiplied(side: int) -> int:
    """Operations forward and backward: each product has two more behind it."""
    patches = side * side
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder(torch.zeros(patches, 3 * 2 * 14 * 14), grid_thw=torch.tensor([[1, side, side]]))
    return 3 * counter.get_total_flops()


def worked_out(vision, side: int) -> int:
    """The same by hand, from the configuration."""
    patches, width, merged = side * side, vision.hidden_size, 4 * vision.hidden_size
    whole = len(vision.fullatt_block_indexes)
    layers = vision.depth * width * (4 * width + 3 * vision.intermediate_size)
    attention = 2 * width * (whole * patches + (vision.depth - whole) * 64)
    embedding, merger = 3 * 2 * 14 * 14 * width, merged * (merged + vision.out_hidden_size) // 4
    return 6 * patches * (layers + attention + embedding + merger)


seen = []
for side in (16, 48, 64):
    counted, done = verl._estimate_qwen3_vit_flop([side * side], config.vision_config), multiplied(side)
    seen.append((round(counted / done, 2), done == worked_out(config.vision_config, side)))
    print(f"verl {version('verl')}: {side * 14} x {side * 14}: {counted / 1e9:.0f} billion operations are counted, "
          f"{done / 1e9:.0f} are done by transformers {__version__}: {seen[-1][0]} times")
published = Qwen2_5_VLConfig(vision_config={
    "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "depth": 32,
    "fullatt_block_indexes": [7, 15, 23, 31], "out_hidden_size": 3584, "patch_size": 14,
}).vision_config
for side in (32, 96):
    ratio = verl._estimate_qwen3_vit_flop([side * side], published) / worked_out(published, side)
    seen.append(round(ratio, 2))
    print(f"at the published width, {side * 14} x {side * 14}: {ratio:.2f} times")
used = verl.ESTIMATE_FUNC["qwen2_5_vl"] is verl.ESTIMATE_FUNC["qwen3_vl"]
sys.exit(not used or seen != [(1.07, True), (1.78, True), (2.3, True), 0.94, 1.74])
PY
"$folder/env/bin/python" "$folder/run.py"
