"""DeepSeek-OCR: what an image costs."""
