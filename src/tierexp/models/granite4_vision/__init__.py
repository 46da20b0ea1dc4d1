"""Granite 4 Vision: what an image costs."""
