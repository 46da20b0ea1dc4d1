"""Gemma 4: what an image costs."""
