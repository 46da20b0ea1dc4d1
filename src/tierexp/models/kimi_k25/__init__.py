"""Kimi K2.5: what an image costs."""
