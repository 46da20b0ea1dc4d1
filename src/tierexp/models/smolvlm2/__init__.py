"""SmolVLM2: what an image costs."""
