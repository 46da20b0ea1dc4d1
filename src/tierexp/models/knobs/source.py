"""What every model source does with knobs, and how a configuration becomes a source.

In: the group `model`. Out: a source whose knobs are checked. Which keys of the group are a knob's
settings, the knob's own fields say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self
from weakref import WeakKeyDictionary

from omegaconf import DictConfig

from tierexp.config.build import build, require_members, resolved, target_of, unknown_key
from tierexp.errors import ConfigError
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Resize
from tierexp.models.knobs.active_blocks import ActiveBlocks
from tierexp.models.knobs.knob import Knob, KnobValue, ModelFacts, Undo
from tierexp.models.knobs.top_k import TopK
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.rule import CropRule
from tierexp.tiers.threshold import Threshold

DEFAULT_KNOBS: tuple[Knob, ...] = (TopK(), ActiveBlocks())
"""Those that every model has, left alone."""

_applied: WeakKeyDictionary[object, list[Undo]] = WeakKeyDictionary()


class KnobbedSource:
    """Base of a frozen dataclass that is a `ModelSource` and has a field `knobs`."""

    knobs: tuple[Knob, ...]

    @property
    def geometry(self) -> CropGeometry:
        """See `ModelSource`."""
        raise NotImplementedError

    @property
    def facts(self) -> ModelFacts:
        """What the knobs are checked against."""
        raise NotImplementedError

    @property
    def knob_values(self) -> dict[str, KnobValue]:
        """What results record of every knob, by name."""
        return {knob.name: knob.value(self.facts) for knob in self.knobs}

    @property
    def knob_fingerprints(self) -> dict[str, str]:
        """What a resumed run has to share of every knob beside its settings, by name."""
        return {knob.name: knob.fingerprint(self.facts) for knob in self.knobs}

    def check_knobs(self) -> None:
        """Refuse settings that are impossible for the model.

        Raises:
            ConfigError: There is one.
        """
        for knob in self.knobs:
            knob.check(self.facts)

    def with_knobs(self, settings: Mapping[str, object]) -> Self:
        """See `ModelSource`."""
        known = {field.name for knob in self.knobs for field in dataclasses.fields(_data(knob))}
        for key, value in settings.items():
            if key not in known:
                raise unknown_key(f"model.{key}", value, known)
        knobs = [
            dataclasses.replace(
                _data(knob), **{key: settings[key] for key in _fields(knob) if key in settings}
            )
            for knob in self.knobs
        ]
        changed: Any = dataclasses.replace(self, knobs=tuple(knobs))  # type: ignore[type-var]
        return changed  # type: ignore[no-any-return]

    def preprocessing(self, tier: CropRule, threshold: Threshold, resize: Resize) -> Preprocessing:
        """See `ModelSource`: crops of one canvas, of the model's geometry."""
        return Preprocessing(tier, threshold, resize, self.geometry)

    def apply_knobs(self, model: object) -> None:
        """See `ModelSource`; what other knobs have set before is set back first."""
        undo = _applied.setdefault(model, [])
        while undo:
            undo.pop()()
        for knob in self.knobs:
            back = knob.apply(model, self.facts)
            if back is not None:
                undo.append(back)


def read_source(config: DictConfig, kind: type | None = None) -> Any:
    """The source that the group `model` describes.

    Args:
        config: As composed.
        kind: A protocol whose members it has to have.

    Raises:
        ConfigError: A key that nothing reads, a value that cannot work, or a knob that is none.
    """
    group = config.get("model")
    if not isinstance(group, DictConfig) or "knobs" not in group:
        return build(config, "model", kind=kind)
    settings = resolved(group)
    knobs = [_read_knob(name, path, settings) for name, path in dict(settings["knobs"]).items()]
    owned = [field for knob in knobs for field in _fields(knob)]
    return build(
        config,
        "model",
        leave_out=["knobs", *owned],
        kind=kind,
        require_offered=True,
        knobs=tuple(knobs),
    )


def _read_knob(name: str, path: object, settings: Mapping[str, Any]) -> Knob:
    """The knob that a key of `model.knobs` names, with its settings from the group."""
    key = f"model.knobs.{name}"
    made: Any = target_of(key, path)
    if not (isinstance(made, type) and dataclasses.is_dataclass(made)):
        raise ConfigError(key, path, "the path of a dataclass, the settings of a knob")
    if missing := sorted(getattr(made, "__abstractmethods__", ())):
        raise ConfigError(key, path, f"a Knob; this one lacks {', '.join(missing)}")
    fields = [field.name for field in dataclasses.fields(made)]
    for field in fields:
        if field not in settings:
            raise ConfigError(f"model.{field}", None, f"it needs a value for the knob {name}")
    knob: Any = made(**{field: settings[field] for field in fields})
    require_members(key, path, knob, Knob)
    return knob  # type: ignore[no-any-return]


def _data(knob: Knob) -> Any:
    """A knob as the dataclass it is."""
    return knob


def _fields(knob: Knob) -> list[str]:
    return [field.name for field in dataclasses.fields(_data(knob))]
