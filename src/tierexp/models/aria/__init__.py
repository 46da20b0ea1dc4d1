"""Aria: what an image costs."""
