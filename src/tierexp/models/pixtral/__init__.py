"""Pixtral: what an image costs."""
