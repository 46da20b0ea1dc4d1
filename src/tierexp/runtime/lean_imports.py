"""Lightning without what it imports and an evaluation never uses.

torchmetrics, which Lightning imports, imports matplotlib, scipy and transformers wherever they are
installed; and for the name of one class Lightning imports torch's compiler, and with it sympy.
Together they take longer than everything else that Lightning needs. In a process of tierexp's own,
the first are as if not installed while Lightning is imported, and the compiler is imported when
something asks for it. The torchmetrics that Lightning got lacks metrics of texts and pictures, so
who imports it afterwards, as a user's score may, gets another, whole one. To Lightning the metrics
of that one are strangers, so in somebody else's process Lightning is imported as it is.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import Distribution, PackageNotFoundError
from types import ModuleType
from typing import Any

_UNUSED = ("matplotlib", "scipy", "transformers")
_COMPILER = "torch._dynamo"


@contextmanager
def as_if_without(*packages: str) -> Iterator[None]:
    """What is imported inside finds these packages not installed, unless they are imported already.

    Args:
        packages: That share their name with their module.
    """
    hidden = [name for name in packages if name not in sys.modules]
    found = Distribution.from_name

    def from_name(name: str) -> Distribution:
        if name in hidden:
            raise PackageNotFoundError(name)
        return found(name)

    sys.modules |= dict.fromkeys(hidden)  # type: ignore[arg-type]  # None: cannot be imported
    Distribution.from_name = from_name  # type: ignore[method-assign]
    try:
        yield
    finally:
        Distribution.from_name = found  # type: ignore[method-assign]
        for name in hidden:
            del sys.modules[name]


class _CompiledType(type):
    """The kind of a class whose instances are those of the compiler's `OptimizedModule`: there is
    none before the compiler is imported.
    """

    def __instancecheck__(cls, instance: object) -> bool:
        compiler = sys.modules.get(_COMPILER)
        return compiler is not None and isinstance(instance, compiler.OptimizedModule)


class _OptimizedModule(metaclass=_CompiledType):
    pass


class _CompilerOnDemand(ModuleType):
    """Stands for `torch._dynamo`, which is imported when it is asked for anything else."""

    OptimizedModule = _OptimizedModule

    @staticmethod
    def disable(function: Callable[..., Any], *_: object, **__: object) -> Callable[..., Any]:
        """What is not to be compiled: of Lightning's logging, in which nothing is compiled."""
        return function

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        sys.modules.pop(_COMPILER, None)
        return getattr(importlib.import_module(_COMPILER), name)


def import_lightning() -> None:
    """Import Lightning, before anything else does; nothing where something has."""
    if {"lightning", "torchmetrics"} & sys.modules.keys():
        return
    import torch  # noqa: F401  whole, before one of its parts is stood in for

    if _COMPILER not in sys.modules:
        sys.modules[_COMPILER] = _CompilerOnDemand(_COMPILER)
    try:
        with as_if_without(*_UNUSED):
            importlib.import_module("lightning")
    finally:
        if isinstance(sys.modules.get(_COMPILER), _CompilerOnDemand):
            del sys.modules[_COMPILER]
        _forget_what_was_missing()


@contextmanager
def lean_imports() -> Iterator[None]:
    """Import Lightning as above, and what is imported inside, without looking for garbage.

    Imports make none. To look through all that they have made, again and again, takes a fifth of
    their time; it stays until the end, and is not looked through later either. A second time there
    is nothing left to import, and nothing is done.
    """
    if "lightning" in sys.modules:
        yield
        return
    gc.disable()
    try:
        import_lightning()
        yield
    finally:
        gc.freeze()
        gc.enable()


def _forget_what_was_missing() -> None:
    from lightning_utilities.core import imports

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchmetrics"]:
        del sys.modules[name]
    imports.package_available.cache_clear()
    imports.module_available.cache_clear()
