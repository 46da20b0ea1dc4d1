"""Samples, where they come from, how they become batches, and what an answer to one is worth."""
