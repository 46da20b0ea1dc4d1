"""A question in a packed sequence is answered as if it were alone."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tierexp.training.packing import IGNORED, LENGTH_STEP, attention_of, pack, pad_sequences

IMAGE = np.array([1, 2, 3, 4])
EOS = 9
QUESTIONS = [([11, 12, 13], [21, 22]), ([14], [23]), ([15, 16], [24, 25, 26])]


def test_worked_example() -> None:
    packed = pack(IMAGE, QUESTIONS[:2], EOS)
    x = IGNORED
    assert packed.input_ids.tolist() == [1, 2, 3, 4, 11, 12, 13, 21, 22, 14, 23]
    assert packed.labels.tolist() == [x, x, x, x, x, x, 21, 22, EOS, 23, EOS]
    assert packed.position_ids.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 4, 5]
    assert packed.segments.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2]


def test_every_question_sees_the_image_and_its_own_past() -> None:
    packed = pack(IMAGE, QUESTIONS, EOS)
    mask = attention_of(torch.from_numpy(packed.segments)[None])[0, 0].numpy()
    for query in range(len(mask)):
        for key in range(len(mask)):
            segment = packed.segments[key]
            expected = key <= query and segment in (0, packed.segments[query])
            assert mask[query, key] == expected


@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(0, 2))
def test_padding_is_neither_seen_nor_learned(counts: list[int], pad_id: int) -> None:
    sequences = [pack(IMAGE, QUESTIONS[:count], EOS) for count in counts]
    batch = pad_sequences(sequences, pad_id)
    mask = attention_of(batch["segments"])
    for row, sequence in enumerate(sequences):
        length = len(sequence.input_ids)
        np.testing.assert_array_equal(batch["input_ids"][row, :length], sequence.input_ids)
        assert (batch["input_ids"][row, length:] == pad_id).all()
        assert (batch["labels"][row, length:] == IGNORED).all()
        assert not mask[row, 0, :length, length:].any()
        assert mask[row].any(-1).all()  # a softmax over nothing would be NaN
    longest, padded = max(len(s.input_ids) for s in sequences), batch["input_ids"].shape[1]
    assert padded % LENGTH_STEP == 0
    assert 0 <= padded - longest < LENGTH_STEP


def test_packed_logits_are_those_of_each_question_alone() -> None:
    """Through a real decoder: the mask and the positions together leave no trace of packing."""
    from tierexp.models.molmo.config import MolmoConfig
    from tierexp.models.molmo.model import Molmo

    torch.manual_seed(0)
    model = Molmo(MolmoConfig.from_checkpoint_json(SMALL)).eval()
    batch = pad_sequences([pack(IMAGE, QUESTIONS, EOS)], 0)
    with torch.no_grad():
        packed = model.decode(
            batch["input_ids"],
            attention_mask=attention_of(batch["segments"]),
            position_ids=batch["position_ids"],
        )[0]
        start = len(IMAGE)
        for prompt, answer in QUESTIONS:
            alone = torch.tensor([[*IMAGE.tolist(), *prompt, *answer]])
            logits = model.decode(alone)[0, len(IMAGE) :]
            torch.testing.assert_close(packed[start : start + len(logits)], logits)
            start += len(logits)


SMALL = {
    "d_model": 32,
    "n_layers": 2,
    "n_heads": 2,
    "mlp_hidden_size": 32,
    "moe_num_experts": 4,
    "moe_top_k": 2,
    "qkv_bias": False,
    "attention_layer_norm": True,
    "norm_after": False,
    "rope_theta": 10000.0,
    "layer_norm_eps": 1e-5,
    "embedding_size": 64,
    "additional_vocab_size": 8,
    "vit_layers": [-1],
    "vision_backbone": {
        "image_emb_dim": 16,
        "image_num_heads": 2,
        "image_num_layers": 1,
        "image_mlp_dim": 16,
    },
}
