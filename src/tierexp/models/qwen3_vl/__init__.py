"""Qwen3-VL: what an image costs."""
