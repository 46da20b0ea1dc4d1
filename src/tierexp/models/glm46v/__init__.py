"""GLM-4.6V: what an image costs."""
