"""Token reduction: fewer of an image's vision tokens reach, or stay in, the language model."""
