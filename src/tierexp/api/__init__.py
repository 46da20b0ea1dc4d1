"""tierexp from Python: what the commands do, as calls."""
