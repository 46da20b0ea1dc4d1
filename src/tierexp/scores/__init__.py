"""How right an answer is: one file per score, a registry by name, and their torchmetrics."""
