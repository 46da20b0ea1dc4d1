"""Several processes for one run, each with a device of its own."""
