"""Lightning, processes and devices: how a model runs, whatever it runs for."""
