"""Crop geometry, tiers, and which tiling an image gets."""
