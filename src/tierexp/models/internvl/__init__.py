"""InternVL: what an image costs."""
