"""GLM-4.1V: what an image costs."""
