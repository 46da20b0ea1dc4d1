"""Idefics3: what an image costs."""
