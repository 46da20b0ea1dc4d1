"""Llama 4: what an image costs."""
