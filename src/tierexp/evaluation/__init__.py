"""From a configuration to a results file: running a model on a data set and scoring it."""
