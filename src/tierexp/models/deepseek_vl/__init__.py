"""DeepSeek-VL: what an image costs."""
