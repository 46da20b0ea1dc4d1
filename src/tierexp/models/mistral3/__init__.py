"""Mistral 3: what an image costs."""
