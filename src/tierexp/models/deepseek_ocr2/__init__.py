"""DeepSeek-OCR 2: what an image costs."""
