"""LFM2-VL: what an image costs."""
