"""Perception LM: what an image costs."""
