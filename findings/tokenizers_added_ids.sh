#!/usr/bin/env bash
# tokenizers 0.23.3, reading a tokenizer.json.
#
# Guess: an added token has the id that `added_tokens` in the file gives it.
# What happens: a token that the model's own vocabulary lacks gets the next free id, in the file's
#   order, and nothing is said. A file that puts <im_start> at 100, to leave room for
#   spare rows of an embedding, is read with <im_start> right behind the vocabulary; written back, the
#   file has the other ids.
# Who is hurt: checkpoints whose image tokens do not follow the vocabulary without a gap, and tests that
#   make such a file by editing ids: images then land on other rows of the embedding.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet tokenizers==0.23.3
cat > "$folder/run.py" <<'PY'
import json
import sys

import tokenizers
from tokenizers import Tokenizer, models

tokenizer = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate("abcd")}, merges=[]))
tokenizer.add_special_tokens(["<im_start>", "<im_end>", "<im_patch>"])
file = json.loads(tokenizer.to_str())
written = {"<im_start>": 100, "<im_end>": 104, "<im_patch>": 102}
for token in file["added_tokens"]:
    token["id"] = written[token["content"]]
read = Tokenizer.from_str(json.dumps(file))
ids = {token: read.token_to_id(token) for token in written}
print(f"tokenizers {tokenizers.__version__}: the file says {written}, the tokenizer {ids}")
sys.exit(set(ids.values()) != {4, 5, 6})
PY
"$folder/env/bin/python" "$folder/run.py"
