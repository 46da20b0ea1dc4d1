"""The keys of Molmo's `config.json` that say no size.

All keys of the published files are here or, the sizes, in `published_json`. Their meaning is that
of the published `config_molmoe.py` and `config_molmo.py`; a value that is absent is what the
published models have.
"""

from __future__ import annotations

from tierexp.models.config_keys import BOOKKEEPING

IMPLEMENTED: dict[str, tuple[object, ...]] = {
    "activation_type": ("swiglu",),
    "alibi": (False,),
    "always_start_with_space": (True,),
    "attention_layer_norm_with_affine": (True,),
    "attn_logit_softcapping": (None,),
    "bias_for_layer_norm": (False, None),
    "block_group_size": (1,),
    "clip_qkv": (None,),
    "crop_mode": ("overlap-and-resize-c2",),
    "final_logit_softcapping": (None,),
    "fix_image_input_idx": (2,),
    "float32_attention": (True,),
    "gin_bindings": (None,),
    "head_dim": (None,),
    "image_padding_embed": ("pad_and_partial_pad",),
    "image_pooling_2d": ("attention-meanq", "attention_meanq"),
    "image_projector": ("mlp",),
    "include_bias": (False,),
    "layer_norm_type": ("rms",),
    "layer_norm_with_affine": (True,),
    "message_formatting": ("role",),
    "multi_query_attention": (None, False),
    "normalize_input_embeds": (False,),
    "pad_to": (None,),
    "pad_tokenizer": (False,),
    "prompt_override": (None,),
    "prompt_type": ("uber_model",),
    "quantization_config": (None,),
    # Read by another kind of block alone, but what a file says that differs is not known.
    "query_pre_attn_scalar": (224, None),
    "rope": (True,),
    "rope_full_precision": (True,),
    "rope_impl": ("llama",),
    "rope_scaling": (None,),
    "scale_logits": (False,),
    "sliding_window": (None,),
    "system_prompt_kind": ("demo_or_style",),
    "tie_word_embeddings": (False,),
    "unconditioned": (False,),
    "use_cls_feature": (False,),
    "use_col_tokens": (True,),
    "use_position_ids": (True,),
    "use_sliding_window": (False,),
    "weight_tying": (False,),
}
"""Keys of both styles."""

MIXTURE_IMPLEMENTED: dict[str, tuple[object, ...]] = {
    "block_type": ("moe",),
    "moe_dropless": (True,),
    "moe_interleave": (False,),
    "moe_shared_expert": (False,),
}
"""Keys of the style of MolmoE alone."""

UNUSED = BOOKKEEPING | {
    "alibi_bias_max", "attention_dropout", "attention_type", "bos_token_id",
    "default_inference_len", "do_random_scale", "embedding_dropout", "image_feature_dropout",
    "init_cutoff_factor", "init_device", "init_fn", "init_std", "llm_load_path",
    "loss_token_weighting", "low_cpu_fsdp",
    # How many crops an image gets is the tier's, and Molmo's positions have no end.
    "max_crops", "max_position_embeddings", "max_sequence_length",
    "new_embedding_init_range", "pad_token_id", "precision", "residual_dropout",
    "response_attention_dropout", "response_residual_dropout", "vit_load_path",
}  # fmt: skip
MIXTURE_UNUSED = frozenset(
    {
        "moe_capacity_factor", "moe_lbl_in_fp32", "moe_log_expert_assignment", "moe_loss_weight",
        "moe_mlp_impl", "moe_zloss_weight",
    }
)  # fmt: skip

VISION_IMPLEMENTED: dict[str, tuple[object, ...]] = {
    "image_mlp_activations": ("quick_gelu",),
    "image_model_type": ("openai",),
    "resize_mode": ("default",),
}
"""Keys of `vision_backbone`."""

VISION_UNUSED = BOOKKEEPING | {
    "attention_dropout", "fsdp_wrap", "image_dropout_rate", "residual_dropout",
}  # fmt: skip
