"""Pixels: decoding, resizing, cutting crops, and what becomes of many images by their sizes."""
