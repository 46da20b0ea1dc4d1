"""Molmo2, through the classes of `transformers` (the extra `molmo2`)."""
