"""Training the model in the box on the benchmark in the box."""
