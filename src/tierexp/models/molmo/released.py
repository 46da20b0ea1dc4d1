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


def difference_from_release(name: str, decoder: DecoderConfig) -> str | None:
    """What is allowed, in words, where a model cannot stand for a released one.

    Args:
        name: A key of `RELEASED`.
        decoder: Decoder of the model at hand. One of other sizes can stand for a release as long as
            it is of its kind: shrunk or trained anew.

    Returns:
        None where it can.
    """
    numbers = RELEASED[name]
    if decoder == numbers:
        return None
    for other, its_numbers in RELEASED.items():
        if decoder == its_numbers:
            return f"{name}, not {other}"
    pairs = list(zip(_traits(numbers), _traits(decoder), strict=True))
    wanted = [trait for trait, found in pairs if trait != found]
    found = [found for trait, found in pairs if trait != found]
    if not wanted:
        return None
    return f"{name} or a model like it, with {' and '.join(wanted)}, not {' and '.join(found)}"


def _traits(decoder: DecoderConfig) -> tuple[str, str, str, str]:
    """What makes the kind of a model, in words."""
    return (
        "dense MLPs" if decoder.num_experts is None else "a mixture of experts",
        f"{'a' if decoder.qkv_bias else 'no'} query-key-value bias",
        f"{'norms' if decoder.qk_norm else 'no norms'} of queries and keys",
        f"norms {'after' if decoder.norm_after else 'before'} sublayers",
    )
