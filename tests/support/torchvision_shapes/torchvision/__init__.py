"""Stands in for torchvision where only shapes matter: its functions make tensors of the right shape
and dtype and compute no pixel, so that `transformers`' processors can be asked what they would make
of any size of image without torchvision and without the pixels. Put the folder above on the path of
a process of its own.
"""

__version__ = "0.28.0"
