"""A model on a server, as a configuration describes it.

In: the group `model`. Out: a `ModelSource` that asks the server. Imports neither torch nor the
`openai` package before it is loaded.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from typing_extensions import override

from tierexp.config.checks import whole_number
from tierexp.errors import ConfigError
from tierexp.imaging.resize import Resize
from tierexp.models.knobs.knob import Knob, ModelFacts
from tierexp.models.knobs.source import KnobbedSource
from tierexp.models.plans.plan import Preset
from tierexp.models.plans.preprocessing import FamilyPreprocessing
from tierexp.models.plans.registry import preset
from tierexp.models.prompt_format import PromptFormat, plain_prompt
from tierexp.models.served.inputs import ServedInputBuilder
from tierexp.models.served.text_ids import TextDecoder
from tierexp.tiers.geometry import CropGeometry
from tierexp.tiers.rule import CropRule
from tierexp.tiers.threshold import Threshold

if TYPE_CHECKING:
    import torch

    from tierexp.models.served.model import ServedModel

_log = logging.getLogger(__name__)

_OURS = ("model", "messages", "temperature", "max_completion_tokens", "stream", "logprobs")
"""Fields of a request that are not the user's."""


@dataclass(frozen=True)
class OpenAIModel(KnobbedSource):
    """A model behind a server that speaks the OpenAI chat protocol.

    Args:
        base_url: Address of the server, up to `/v1`.
        name: What the server calls the model, and results, too.
        family: Whose plan says what an image costs: a name of `tierexp tokens`, or the path of a
            `Family` of one's own.
        max_new_tokens: The longest answer.
        concurrency: Most requests at a time, of one batch.
        timeout: Seconds after which a request counts as failed.
        max_retries: How often a request that failed is repeated, after longer and longer pauses.
        request: Further fields of every request, such as `{chat_template_kwargs: {...}}`.

    Raises:
        ConfigError: A value that cannot work, or the extra `served` is not installed.
    """

    base_url: str
    name: str
    family: str
    max_new_tokens: int = 16
    concurrency: int = 8
    timeout: float = 60.0
    max_retries: int = 5
    request: Mapping[str, Any] | None = None
    knobs: tuple[Knob, ...] = ()
    fixes_length: ClassVar[bool] = False
    """The protocol has a longest answer and no shortest one."""

    def __post_init__(self) -> None:
        if find_spec("openai") is None:
            raise ConfigError("model", "openai", "only with: pip install 'tierexp[served]'")
        address = urlsplit(str(self.base_url or ""))
        if address.scheme not in ("http", "https") or not address.netloc:
            allowed = "the address of a server, such as http://localhost:8000/v1"
            raise ConfigError("model.base_url", self.base_url, allowed)
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError("model.name", self.name, "what the server calls the model")
        preset(self.family, "model.family")
        whole_number("model.max_new_tokens", self.max_new_tokens, 1)
        whole_number("model.concurrency", self.concurrency, 1)
        whole_number("model.max_retries", self.max_retries, 0)
        if isinstance(self.timeout, bool) or not isinstance(self.timeout, int | float):
            raise ConfigError("model.timeout", self.timeout, "seconds")
        if not 0 < self.timeout < float("inf"):
            raise ConfigError("model.timeout", self.timeout, "seconds, more than 0")
        if not isinstance(self.request, Mapping | None):
            raise ConfigError("model.request", self.request, "fields of a request and their values")
        for key, value in self.fields.items():
            if key in _OURS:
                raise ConfigError(f"model.request.{key}", value, "left to tierexp")

    @property
    def fields(self) -> dict[str, Any]:
        """Those that every request has beside ours."""
        return dict(self.request or {})

    @property
    def preset(self) -> Preset:
        """The family's rule."""
        return preset(self.family)

    @property
    def geometry(self) -> CropGeometry:
        """The crops that tiers are counted in; the family's own rule is `preset`."""
        return CropGeometry()

    @override
    def preprocessing(
        self, tier: CropRule, threshold: Threshold, resize: Resize
    ) -> FamilyPreprocessing:
        return FamilyPreprocessing.of(self.preset, tier, threshold, resize)

    @property
    def facts(self) -> ModelFacts:
        """Nothing is known of what is behind the server."""
        return ModelFacts()

    @property
    def prompt_format(self) -> PromptFormat:
        """As anyone would ask; the chat template is the server's."""
        return plain_prompt

    @property
    def weights(self) -> Hashable:
        """The server, the model and how they are asked."""
        asked = self.concurrency, self.timeout, self.max_retries, self.family
        return type(self), self.base_url, self.name, asked, json.dumps(self.fields)

    def inputs(self) -> ServedInputBuilder:
        """What makes inputs of samples."""
        return ServedInputBuilder(self.preset)

    def tokenizer(self) -> TextDecoder:
        """What stands for one: the server sends text."""
        return TextDecoder()

    def load(self, device: torch.device) -> ServedModel:
        """Find out what the server does, say what a user has to know, and be ready to ask it.

        Raises:
            ConfigError: The server does not know the model or the key, or sees no images.
            ServerGoneError: Nobody is there.
        """
        del device
        from tierexp.models.served.client import ChatClient
        from tierexp.models.served.model import ServedModel
        from tierexp.models.served.probe import Probe

        client = ChatClient(self.base_url, self.name, float(self.timeout), self.max_retries)
        findings = Probe(client, self.preset, self.fields).run()
        for line in findings.lines:
            _log.warning("%s: %s", self.name, line)
        return ServedModel(client, findings, self.concurrency, self.fields)
