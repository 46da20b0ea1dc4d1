"""Qwen2.5-VL: what an image costs."""
