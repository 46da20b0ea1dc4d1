"""Which tier gives a distribution of image sizes the least mismatch for its tokens."""
