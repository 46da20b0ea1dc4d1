"""Llama 3.2 Vision (Mllama): what an image costs."""
