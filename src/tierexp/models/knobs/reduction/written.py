"""A reduction as it is written: keys and values as on the command line, `reduction=diverse`,
`reduction.keep=0.5`.

In: what results keep of the group `reduction`, or the settings of an operating point. Out: those
keys and values, or the `Reduction`. Imports no torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tierexp.config.build import unknown_key
from tierexp.config.checks import choice
from tierexp.models.knobs.reduction.settings import METHODS, Method, Reduction

GROUP = "reduction"


def kinds() -> dict[Method, type[Reduction]]:
    """Every method's settings, by its name."""
    found: dict[Method, type[Reduction]] = {}
    waiting: list[type[Reduction]] = [Reduction]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if "method" in vars(kind):
            found[kind.method] = kind
    return found


def method_in(group: object) -> Method:
    """The method that a recorded group `reduction` names; `none` where it names none.

    Args:
        group: Of a resolved configuration, as results keep it.
    """
    target = str(group.get("_target_", "")) if isinstance(group, Mapping) else ""
    named = [name for name, kind in kinds().items() if kind.__name__ == target.rpartition(".")[2]]
    return named[0] if named else "none"


def written_settings(group: object) -> dict[str, object]:
    """What one would write to have a recorded group again, defaults left out.

    Args:
        group: As for `method_in`.
    """
    method = method_in(group)
    fields = dataclasses.fields(kinds()[method])
    values = group if isinstance(group, Mapping) else {}
    kept = {f.name: values[f.name] for f in fields if values.get(f.name, f.default) != f.default}
    return {GROUP: method} | {f"{GROUP}.{name}": value for name, value in kept.items()}


def parted(settings: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Settings of an operating point: those of the group `model`, and those of `reduction`."""
    own = {k: v for k, v in settings.items() if k == GROUP or k.startswith(f"{GROUP}.")}
    return {k: v for k, v in settings.items() if k not in own}, own


def reduction_of(settings: Mapping[str, object]) -> Reduction:
    """The reduction that keys and values ask for.

    Args:
        settings: `reduction`, a method's name, and `reduction.keep` and the like beside it.

    Raises:
        ConfigError: No method of that name, a key that it does not have, or a value that cannot be.
    """
    method = settings.get(GROUP)
    choice(GROUP, method, METHODS)
    kind = next(kind for name, kind in kinds().items() if name == method)
    known = [f"{GROUP}.{field.name}" for field in dataclasses.fields(kind)]
    values = {key: value for key, value in settings.items() if key != GROUP}
    for key, value in values.items():
        if key not in known:
            raise unknown_key(key, value, known)
    return kind(**{key.partition(".")[2]: value for key, value in values.items()})  # type: ignore[arg-type]
