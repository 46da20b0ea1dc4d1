"""Phi-4 multimodal: what an image costs."""
