"""Overrides of a training run of seconds."""

from __future__ import annotations

ARCHITECTURE = [
    "architecture.d_model=32",
    "architecture.n_layers=4",
    "architecture.n_heads=4",
    "architecture.n_kv_heads=4",
    "architecture.mlp_hidden_size=32",
    "architecture.image_projector_hidden_size=16",
    "architecture.vision_backbone.image_emb_dim=16",
    "architecture.vision_backbone.image_num_layers=2",
    "architecture.vision_backbone.image_mlp_dim=16",
]

SMALL = [
    "trainer=cpu",
    "logger=none",
    *ARCHITECTURE,
    "recipe.phases=[{steps: 2, learning_rate: 2e-3, crops_per_batch: 4}, "
    "{steps: 7, learning_rate: 2e-3, crops_per_batch: 4, tiers: [low], shares: [1]}]",
    "recipe.num_workers=0",
    "recipe.validation_questions=1",
    "recipe.validation_every=3",
]
