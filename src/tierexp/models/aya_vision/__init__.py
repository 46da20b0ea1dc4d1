"""Aya Vision: what an image costs."""
