"""Published benchmarks, read with Hugging Face `datasets`: one loader, a config file for each."""

from tierexp.data.hub.dataset import HubDataset

__all__ = ["HubDataset"]
