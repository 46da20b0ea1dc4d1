"""The names of `tierexp` that wait for their first use, so that importing it imports no torch."""

from __future__ import annotations

from importlib import import_module

_HOMES = {
    "Answer": "tierexp.api.model",
    "Preprocessor": "tierexp.api.preprocessor",
    "evaluate": "tierexp.api.evaluation",
    "load_model": "tierexp.api.model",
}


def __getattr__(name: str) -> object:
    """What a module that takes this function as its own has beside what it imports at once.

    Raises:
        AttributeError: There is no such name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'tierexp' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
