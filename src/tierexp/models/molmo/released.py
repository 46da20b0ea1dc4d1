"""The released Molmo models: a table of their numbers.

For: telling which of them a checkpoint is, so that a configuration that names one is not run with
another by mistake. Sizes are never taken from here, always from the checkpoint. The numbers are
those of the published `config.json` files.
"""

from __future__ import annotations

from dataclasses import replace

from tierexp.models.molmo.sizes import DecoderConfig

_QWEN2_7B = DecoderConfig(
    vocab_size=152064,
    extra_vocab_size=128,
    width=3584,
    num_layers=28,
    num_heads=28,
    num_kv_heads=4,
    mlp_width=18944,
    num_experts=None,
    top_k=None,
    rope_theta=1e6,
    norm_eps=1e-6,
    qkv_bias=True,
    qk_norm=False,
    norm_after=False,
)

RELEASED: dict[str, DecoderConfig] = {
    "MolmoE-1B-0924": DecoderConfig(
        vocab_size=50304,
        extra_vocab_size=128,
        width=2048,
        num_layers=16,
        num_heads=16,
        num_kv_heads=16,
        mlp_width=1024,
        num_experts=64,
        top_k=8,
        rope_theta=1e4,
        norm_eps=1e-5,
        qkv_bias=False,
        qk_norm=True,
        norm_after=False,
    ),
    "Molmo-7B-D-0924": _QWEN2_7B,
    "Molmo-7B-O-0924": DecoderConfig(
        vocab_size=100352,
        extra_vocab_size=128,
        width=4096,
        num_layers=32,
        num_heads=32,
        num_kv_heads=32,
        mlp_width=11008,
        num_experts=None,
        top_k=None,
        rope_theta=5e5,
        norm_eps=1e-6,
        qkv_bias=False,
        qk_norm=True,
        norm_after=True,
    ),
    "Molmo-72B-0924": replace(
        _QWEN2_7B,
        width=8192,
        num_layers=80,
        num_heads=64,
        num_kv_heads=8,
        mlp_width=29568,
        norm_eps=1e-5,
    ),
}
"""The language models, by name; the vision part is the same in all four."""


def mistaken_for(name: str, decoder: DecoderConfig) -> str | None:
    """What a model is, in words, where it cannot stand for a released one.

    Args:
        name: A key of `RELEASED`.
        decoder: Of the model at hand. One of other sizes can stand for a release as long as it is
            of its kind: shrunk or trained anew.

    Returns:
        None where it can.
    """
    for other, numbers in RELEASED.items():
        if decoder == numbers:
            return None if other == name else other
    if _kind(decoder) == _kind(RELEASED[name]):
        return None
    return f"a model with {_kind(decoder)}"


def kind_of(name: str) -> str:
    """In words, what tells a released model's kind from others."""
    return _kind(RELEASED[name])


def _kind(decoder: DecoderConfig) -> str:
    mixture = "dense MLPs" if decoder.num_experts is None else "a mixture of experts"
    bias = "a query-key-value bias" if decoder.qkv_bias else "no query-key-value bias"
    norm = "query and key norms" if decoder.qk_norm else "no query and key norms"
    place = "norms after its sublayers" if decoder.norm_after else "norms before its sublayers"
    return f"{mixture}, {bias}, {norm} and {place}"
