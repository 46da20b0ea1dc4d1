"""Janus: what an image costs."""
