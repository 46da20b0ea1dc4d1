"""Keys, tokens and passwords: a configuration is no place for them, since results, logs and W&B
keep it.

In: settings, or a text for people. Out: a refusal that does not repeat the secret, or the text
without it. Nothing in tierexp takes a secret: the libraries that need one find it in the
environment or in a login of their own. Knows nothing about Hydra.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping

from tierexp.errors import ConfigError

HIDDEN = "***"

_NAME = re.compile(
    r"(^|[^a-z])(api_?key|access_?key|private_?key|secret|password|passwd|token|credentials?)$",
    re.IGNORECASE,
)
"""What names a secret among settings; `typical_vision_tokens` and `image_key` do not."""

_VARIABLE = re.compile(r"(key|pass|passwd|password|passphrase|token|secret|credentials?)$", re.I)
"""What names a secret in the environment, whose variables are not ours: rather one too many."""

_READ = re.compile(r"\$\{\s*oc\.env\s*:\s*['\"]?(\w+)")
"""A setting that reads the environment."""

_SHAPES = (
    r"(?<=://)[^/\s@'\"]+(?=@)",  # https://USER:PASSWORD@host
    r"(?<=[?&])(?:access_token|token|api_?key|password|sig|signature|x-amz-signature)=[^&\s'\"]+",
    r"-----BEGIN [A-Z ]*PRIVATE KEY.*?(?:-----END [A-Z ]*PRIVATE KEY[A-Z ]*-----|\Z)",  # PEM
    r"\bhf_[A-Za-z0-9]{16,}",
    r"\bgh[opsur]_[A-Za-z0-9]{16,}",
    r"\bgithub_pat_\w{16,}",
    r"\bglpat-[\w-]{16,}",
    r"\bsk-[\w-]{16,}",
    r"\b[rs]k_(?:live|test)_\w{16,}",  # Stripe
    r"\bwandb_v\d+_\w{16,}",
    r"\blocal-[0-9a-f]{40}\b",  # W&B on one's own server
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",  # AWS
    r"\bAIza[\w-]{35}",  # Google: API keys,
    r"\bGOCSPX-[\w-]{20,}",  # clients of OAuth,
    r"\bya29\.[\w-]{20,}",  # and what these are given
    r"\bxox[a-z](?:\.xox[a-z])?-\d[\w-]{9,}",  # Slack: users, bots, refreshed ones,
    r"\bxoxd-[\w%-]{32,}",  # browsers,
    r"\bxapp-\d-[\w-]{10,}",  # apps,
    r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/]{16,}",  # and web hooks
    r"\b(?:AccountKey|SharedAccessKey|SharedAccessSignature)=[^;\s'\"]{16,}",  # Azure: storage,
    r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}",  # and Entra clients
    r"\bnpm_[A-Za-z0-9]{36}\b",
    r"\bpypi-[\w-]{16,}",
    r"\bSG\.[\w-]{16,}\.[\w-]{16,}",  # SendGrid
    r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",  # a JSON web token
)
_SECRET = re.compile("|".join(f"(?:{shape})" for shape in _SHAPES), re.IGNORECASE | re.DOTALL)

_SHORTEST = 8
"""Characters: shorter values of the environment may be words of any sentence."""


def refuse_credentials(settings: Mapping[str, object]) -> None:
    """Refuse settings that hold a secret, that read one from the environment (`${oc.env:MY_KEY}`),
    or that can be nothing else.

    Args:
        settings: Settings of any depth; the keys may have dots.

    Raises:
        ConfigError: Names the key, and hides the value.
    """
    secrets = _environment_secrets()
    for key, value in _leaves(settings, ""):
        text = str(value)
        named = _NAME.search(key) is not None and isinstance(value, str) and value.strip()
        read = any(_VARIABLE.search(variable) for variable in _READ.findall(text))
        if named or read or _hidden(text, secrets) != text:
            allowed = (
                "left out: results, logs and W&B keep every setting; an environment variable "
                "(WANDB_API_KEY, HF_TOKEN, OPENAI_API_KEY) or a login keeps a key to yourself"
            )
            raise ConfigError(key, HIDDEN, allowed)


def without_credentials(text: str) -> str:
    """A text with what looks like a secret hidden, and what the environment says is one."""
    return _hidden(text, _environment_secrets())


def _hidden(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return _SECRET.sub(HIDDEN, text)


def _environment_secrets() -> list[str]:
    values = {value for name, value in os.environ.items() if _VARIABLE.search(name)}
    # A variable may also say in which file its secret is. Path.exists() fails on long texts.
    secrets = [v for v in values if len(v) >= _SHORTEST and not os.path.exists(v)]  # noqa: PTH110
    # The longest first: one may contain another.
    return sorted(secrets, key=len, reverse=True)


def _leaves(value: object, key: str) -> Iterator[tuple[str, object]]:
    """(key, value) of everything in nested settings; items of a list have the list's key."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _leaves(below, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _leaves(below, key)
    else:
        yield key, value
