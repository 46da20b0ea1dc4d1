"""Commands: composed by Hydra, a user's mistake worth one line."""
