#!/usr/bin/env bash
# trl 1.16.0, the collator of `SFTTrainer` for pictures (`DataCollatorForVisionLanguageModeling`) at its defaults, with
# LLaVA of transformers 5.24.0: conversations in `messages`, the usual form.
#
# Guess: the placeholders of a picture have no part in the loss: nobody wants a model to write them, and padding is
#   taken out.
# What happens: they are labels like words, and the model's loss does not leave them out. A question and an answer of
#   six words beside a picture of 576 tokens: 576 of 582 labels are the placeholder, and the loss is the mean
#   over them. At 56 pixels a side, 16 tokens, it is 16 of 22. `assistant_only_loss` and data in `prompt` and
#   `completion` take them out.
# Who is hurt: whoever compares resolutions or budgets of tokens after fine-tuning: an answer's weight in the loss
#   is a 26th of what it was with the small picture, as if the learning rate had been lowered; curves of loss
#   and token accuracy, which look splendid as the model learns to repeat one token.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet transformers==5.24.0 torch==2.13.0 numpy==2.3.5 pillow==12.0.0 jinja2==3.1.6 \
  accelerate==1.15.0 datasets==5.2.0
"$folder/env/bin/pip" install --quiet --no-deps trl==1.16.0
cat > "$folder/run.py" <<'PY'
import sys
from importlib.metadata import version

import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn.functional import cross_entropy
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from trl import SFTConfig
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

WORDS = ["<pad>", "<image>", "?", "What", "is", "this", "A", "cat"]
PICTURE = WORDS.index("<image>")
words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="?"))
words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=words, pad_token="<pad>", additional_special_tokens=["<image>"]
)
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{{ '<image> ' if part['type'] == 'image' else part['text'] + ' ' }}{% endfor %}{% endfor %}"
)
TALK = [{"role": "user", "content": "What is this ?"}, {"role": "assistant", "content": "A cat"}]
SMALL = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}


def measure(side: int) -> tuple[int, int, float, float, float]:
    """Labels, those that are placeholders, the model's loss, and the mean with and without placeholders."""
    torch.manual_seed(0)
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side}), tokenizer,
        patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    model = LlavaForConditionalGeneration(LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=side, patch_size=14, num_hidden_layers=1, **SMALL),
        text_config=LlamaConfig(vocab_size=len(WORDS), num_hidden_layers=1, pad_token_id=0, **SMALL),
        image_token_id=PICTURE, vision_feature_layer=-1,
    ))
    picture = Image.new("RGB", (400, 400), "red")
    batch = DataCollatorForVisionLanguageModeling(processor)([{"messages": TALK, "images": [picture]}])
    with torch.no_grad():
        output = model(**batch)
    scores, labels = output.logits[0, :-1], batch["labels"][0]
    text = labels.masked_fill(labels == PICTURE, -100)
    return (
        int((labels != -100).sum()), int((labels == PICTURE).sum()), output.loss.item(),
        cross_entropy(scores, labels[1:]).item(), cross_entropy(scores, text[1:]).item(),
    )


found = {}
for side in (56, 336):
    labels, placeholders, loss, everything, text = found[side] = measure(side)
    print(f"trl {version('trl')}, transformers {version('transformers')}: {side} pixels: {placeholders} of {labels} "
          f"labels are placeholders; the loss is {loss:.4f}, the mean over all {everything:.4f}, "
          f"over the words {text:.4f}")
defaults = SFTConfig(output_dir=sys.argv[1], bf16=False)
sys.exit(not (
    not defaults.assistant_only_loss and not defaults.completion_only_loss
    and found[56][:2] == (22, 16) and found[336][:2] == (582, 576)
    and all(abs(loss - everything) < 1e-5 < abs(loss - text) for _, _, loss, everything, text in found.values())
))
PY
"$folder/env/bin/python" "$folder/run.py" "$folder/out"
