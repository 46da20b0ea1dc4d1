"""What a model is to the rest of the project, and the models themselves."""
