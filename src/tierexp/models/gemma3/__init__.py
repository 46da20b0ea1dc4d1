"""Gemma 3: what an image costs."""
