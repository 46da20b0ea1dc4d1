"""The keys of Molmo2's `config.json`, as released and as `transformers` saves it.

What `transformers`' `Molmo2Config` reads is followed by its own code, whatever the value. The rest
of the released keys, which it passes over, is taken with the released value alone.
"""

from __future__ import annotations

from tierexp.models.config_keys import BOOKKEEPING, KnownKeys

TOP = KnownKeys(
    read={
        "adapter_config", "text_config", "vision_config", "vit_config", "image_start_token_id",
        "image_end_token_id", "image_patch_id", "low_res_image_start_token_id",
    },
    implemented={"quantization_config": (None,), "tie_word_embeddings": (False,)},
    unused=BOOKKEEPING | {
        "bos_token_id", "pad_token_id",
        # The tokenizer says where rows end; frames are those of videos.
        "image_col_id", "image_high_res_id", "image_low_res_id",
        "frame_end_token_id", "frame_start_token_id", "use_frame_special_tokens",
    },
)  # fmt: skip

TEXT = KnownKeys(
    read={
        "additional_vocab_size", "attention_bias", "head_dim", "hidden_act", "hidden_size",
        "intermediate_size", "layer_norm_eps", "norm_after", "num_attention_heads",
        "num_hidden_layers", "num_key_value_heads", "qk_norm_type", "qkv_bias", "rms_norm_eps",
        "rope_parameters", "rope_scaling", "rope_scaling_layers", "rope_theta", "vocab_size",
    },
    implemented={
        "quantization_config": (None,),
        "sliding_window": (None,),
        "tie_word_embeddings": (False,),
        "use_qk_norm": (True,),
        "use_sliding_window": (False,),
    },
    unused=BOOKKEEPING | {
        "attention_dropout", "embedding_dropout", "max_position_embeddings", "residual_dropout",
    },
)  # fmt: skip

VISION = KnownKeys(
    read={
        "attention_bias", "head_dim", "hidden_act", "hidden_size", "image_default_input_size",
        "image_num_pos", "image_patch_size", "image_size", "intermediate_size", "layer_norm_eps",
        "num_attention_heads", "num_channels", "num_hidden_layers", "num_key_value_heads",
        "num_position_embeddings", "patch_size",
    },
    implemented={"float32_attention": (True,)},
    unused=BOOKKEEPING | {"attention_dropout", "residual_dropout"},
)  # fmt: skip

ADAPTER = KnownKeys(
    read={
        "attention_bias", "head_dim", "hidden_act", "hidden_size", "intermediate_size", "mlp_bias",
        "num_attention_heads", "num_key_value_heads", "text_hidden_size", "vision_feature_layer",
        "vit_layers",
    },
    implemented={"float32_attention": (True,), "pooling_attention_mask": (True,)},
    unused=BOOKKEEPING | {"attention_dropout", "image_feature_dropout", "residual_dropout"},
)  # fmt: skip
