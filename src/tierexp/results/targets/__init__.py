"""Whether results meet the targets that tiers were designed for."""
