"""LightOnOCR: what an image costs."""
