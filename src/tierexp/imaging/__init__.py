"""Pixels: decoding, resizing, cutting crops, and where their tokens go in a prompt."""
