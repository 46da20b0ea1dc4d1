"""LLaVA-OneVision: what an image costs."""
