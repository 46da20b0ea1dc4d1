"""How right an answer is: one file per score, and a registry by name."""
