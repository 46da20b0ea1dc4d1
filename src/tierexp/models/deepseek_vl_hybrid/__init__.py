"""DeepSeek-VL hybrid: what an image costs."""
