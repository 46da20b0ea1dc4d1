#!/usr/bin/env bash
# transformers 5.24.0, Idefics3's image processor and processor at their defaults.
#
# Guess: a smaller photo costs the language model no more tokens than a larger one.
# What happens: the longest edge is always brought to 1,456 pixels, up as well as down, and then cut
#   into crops of 364. So only the shape counts: 336 x 336 is blown up to 16 crops and 2,873 tokens, as
#   many as 1456 x 1456, while 640 x 480 gets 12 crops and 2,197, and so does 1600 x 1200.
# Who is hurt: whoever sends thumbnails to save tokens, time or money: square ones cost a third more than
#   a photo of the usual shape at any size; whoever sets a budget by pixels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 torch==2.13.0 numpy==2.3.5 pillow==12.0.0
cat > "$folder/run.py" <<'PY'
import sys

import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import Idefics3Processor, PreTrainedTokenizerFast
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

# A token a byte, made on the spot: nothing is fetched, and the placeholders are one token each.
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
whole = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=whole, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>"
)
rows = [f"<row_{row}_col_{col}>" for row in range(1, 5) for col in range(1, 5)]
tokenizer.add_tokens(
    ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *rows],
    special_tokens=True,
)
processor = Idefics3Processor(image_processor=Idefics3ImageProcessorPil(), tokenizer=tokenizer)
image = tokenizer.convert_tokens_to_ids("<image>")
counted = {}
print(f"transformers {transformers.__version__}")
for size in ((336, 336), (1456, 1456), (640, 480), (1600, 1200)):
    made = processor(images=[[Image.new("RGB", size)]], text=["<image>"])
    counted[size] = sum(token == image for token in made["input_ids"][0])
    print(f"{size[0]} x {size[1]}: {len(made['pixel_values'][0])} images, {counted[size]} tokens")
sys.exit(list(counted.values()) != [2873, 2873, 2197, 2197])
PY
"$folder/env/bin/python" "$folder/run.py"
