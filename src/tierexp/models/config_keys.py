"""Keys of a checkpoint's `config.json`: what nobody here knows may change what a model computes.

In: a decoded JSON object, and which of its keys are understood. Out: nothing, or a refusal that
names the key. Knows no model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from reprlib import repr as short

from tierexp.errors import CheckpointError

BOOKKEEPING = frozenset(
    {
        "_attn_implementation_autoset", "_commit_hash", "_name_or_path", "architectures",
        "attn_implementation", "auto_map", "dtype", "initializer_range", "model_type",
        "torch_dtype", "transformers_version", "use_cache",
    }
)  # fmt: skip
"""What `transformers` writes of itself, of the file, and of training."""


@dataclass(frozen=True)
class KnownKeys:
    """The keys of one JSON object.

    Args:
        read: Whatever their values are, they are followed or refused elsewhere.
        implemented: The values that are implemented; any other would change what is computed.
        unused: Keys of no consequence for an answer: training, memory, speed, bookkeeping.
    """

    read: Collection[str]
    implemented: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    unused: Collection[str] = BOOKKEEPING

    def refuse_others(self, values: Mapping[str, object], prefix: str = "") -> None:
        """Refuse an object with other keys, or with values that are not implemented.

        Args:
            values: The object. A key that it lacks is fine here.
            prefix: Stands before its keys in a message, `text_config.`.

        Raises:
            CheckpointError: There is such a key; the first one is named.
        """
        for key, value in values.items():
            named = prefix + (key if key.isidentifier() else repr(key))
            if key in self.implemented:
                allowed = self.implemented[key]
                if value not in allowed:
                    raise CheckpointError(
                        f"config.json: {named}={short(value)} is not implemented, "
                        f"only {' or '.join(map(repr, allowed))}"
                    )
            elif key not in self.read and key not in self.unused:
                raise CheckpointError(
                    f"config.json: {named}={short(value)} is a key that is not implemented"
                )
