"""Emu3: what an image costs."""
