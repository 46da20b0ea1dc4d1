"""What a run found: its schema, its aggregates and its files."""
