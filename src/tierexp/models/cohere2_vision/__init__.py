"""Cohere2 Vision (Command A Vision): what an image costs."""
