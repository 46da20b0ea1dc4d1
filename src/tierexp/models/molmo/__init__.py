"""Molmo ("Molmo and PixMo", 2024) in plain PyTorch; reads the released checkpoints as they are."""
