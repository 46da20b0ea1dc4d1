"""Random weights for training a Molmo from nothing.

In: a model. Out: the same, overwritten. Linear layers preserve variance (normal, 1 / fan-in); what
writes to a residual stream starts smaller by the root of the number of writers, as in GPT-2; norms
start at one, biases at zero. Token embeddings start at unit variance: the first attention adds the
mean of hundreds of image tokens to every word, and words of a smaller scale would drown in it.
"""

from __future__ import annotations

import torch
from torch import nn

from tierexp.models.molmo.connector import MeanQueryPooling
from tierexp.models.molmo.decoder import FeedForward, SelfAttention, TokenEmbedding
from tierexp.models.molmo.experts import Experts
from tierexp.models.molmo.vision import VisionAttention, VisionMLP, VisionTransformer
from tierexp.models.molmo.vision_backbone import VisionBackbone

POSITION_STD = 0.02


@torch.no_grad()
def initialise(model: nn.Module, vision_blocks: int, decoder_blocks: int) -> None:
    """Overwrite every parameter.

    Args:
        model: Made of the parts of a Molmo.
        vision_blocks: Transformer blocks of its vision encoder.
        decoder_blocks: The same of its decoder.
    """
    vision_scale = (2 * vision_blocks) ** -0.5
    decoder_scale = (2 * decoder_blocks) ** -0.5
    for module in model.modules():
        match module:
            case nn.Linear():
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            case nn.LayerNorm() | nn.RMSNorm():
                module.reset_parameters()
            case TokenEmbedding():
                nn.init.normal_(module.embedding)
                nn.init.normal_(module.new_embedding)
            case VisionTransformer():
                nn.init.normal_(module.class_embedding, std=POSITION_STD)
                nn.init.normal_(module.positional_embedding, std=POSITION_STD)
            case Experts():
                nn.init.normal_(module.gate_up_proj, std=module.gate_up_proj.shape[-1] ** -0.5)
                nn.init.normal_(module.down_proj, std=module.down_proj.shape[-1] ** -0.5)
            case VisionBackbone():
                nn.init.zeros_(module.pad_embed)
    for module in model.modules():
        match module:
            case MeanQueryPooling():
                pass
            case VisionAttention():
                module.wo.weight.mul_(vision_scale)
            case VisionMLP():
                module.w2.weight.mul_(vision_scale)
            case SelfAttention():
                module.attn_out.weight.mul_(decoder_scale)
            case FeedForward():
                module.ff_out.weight.mul_(decoder_scale)
            case Experts():
                module.down_proj.mul_(decoder_scale)
