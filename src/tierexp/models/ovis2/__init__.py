"""Ovis2: what an image costs."""
