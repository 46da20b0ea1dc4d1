"""LLaVA-NeXT: what an image costs."""
