"""The LightningModule that trains a Molmo-style model from nothing.

Three losses: what every vision token should know of its place (`dense_targets`), where attention
should look (`lookups`), and the tokens of the answers; beside them, that experts be evenly used. A
run starts with batches that have the first alone, which teaches the vision part to see before the
language model is asked to look; later ones may rehearse such crops beside their images. Knows
nothing of scenes or tiers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric
from typing_extensions import override

from tierexp.data.batch import EvaluationBatch
from tierexp.data.sample import QuestionDataset
from tierexp.data.scores.exact_match import exact_match
from tierexp.errors import ConfigError
from tierexp.models.molmo.config import MolmoConfig
from tierexp.models.molmo.decoder import Block
from tierexp.models.molmo.engine import MolmoEngine
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.moe import MixtureOfExperts
from tierexp.models.molmo.side_by_side import SideBySide
from tierexp.models.molmo.tokenizer import PromptTokenizer
from tierexp.training.batches import TrainingBatch, VisionBatch
from tierexp.training.dense_targets import HEADS
from tierexp.training.lookups import divergence
from tierexp.training.optimizer import MuonAdamW
from tierexp.training.packing import IGNORED, PADDING, attention_of
from tierexp.training.recipe import Recipe, learning_rate
from tierexp.training.side_by_side import in_parts
from tierexp.training.taught_heads import QUARTERS, TAUGHT_HEADS


class MolmoTraining(LightningModule):
    """Trains `molmo`; the dense heads are thrown away afterwards.

    Args:
        config: Config of the model.
        recipe: How to train it.
        tokenizer: Decodes what validation generates.
        validation: What each validation data loader asks, by its name in logs.
    """

    def __init__(
        self,
        config: MolmoConfig,
        recipe: Recipe,
        tokenizer: PromptTokenizer,
        validation: Mapping[str, QuestionDataset],
    ) -> None:
        super().__init__()
        self.molmo = Molmo(config)
        self._engine = MolmoEngine(self.molmo, tokenizer.eos_id)
        self.dense_heads = nn.Linear(config.decoder.width, sum(head.classes for head in HEADS))
        self.validation_accuracy = nn.ModuleDict({name: MeanMetric() for name in validation})
        self._validation = dict(validation)
        self._recipe = recipe
        self._tokenizer = tokenizer
        self._threads = SideBySide()
        self._router_logits: list[Tensor] = []
        self._attended: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self._taught_blocks = [
            taught.quarter * config.decoder.num_layers // QUARTERS for taught in TAUGHT_HEADS
        ]
        for number in set(self._taught_blocks):
            block = self.molmo.transformer.blocks[number]
            assert isinstance(block, Block)
            block.attn.attention.register_forward_pre_hook(
                partial(self._remember_attention, number)
            )
        for block in self.molmo.transformer.blocks:
            if isinstance(block.mlp, MixtureOfExperts):
                block.mlp.gate.register_forward_hook(self._remember_router)

    def training_step(self, batch: VisionBatch | TrainingBatch, _index: int) -> Tensor:
        """The loss of one batch."""
        recipe = self._recipe
        frozen = isinstance(batch, TrainingBatch) and batch.frozen_vision
        with torch.set_grad_enabled(not frozen):
            features, dense = self._see(batch, "dense")
        if isinstance(batch, VisionBatch):
            return dense
        if batch.rehearsed is not None:
            _, rehearsed = self._see(batch.rehearsed, "rehearsed")
            dense = dense + rehearsed
        logits = self.molmo.decode(
            batch.input_ids,
            features,
            batch.image_input_idx,
            attention_mask=attention_of(batch.segments),
            position_ids=batch.position_ids,
            active_blocks=[b for b in self._engine.active_blocks if b != batch.knobs.skipped_block],
            top_k=batch.knobs.top_k,
        )  # (B, T, V)
        answers = cross_entropy(
            logits.flatten(0, 1).float(), batch.labels.flatten(), ignore_index=IGNORED
        )
        self.log("train/answer_loss", answers, prog_bar=True)
        lookup = self._lookup_loss(batch)
        self.log("train/lookup_loss", lookup, prog_bar=True)
        tokens = (batch.segments != PADDING).flatten()
        balance = self._balance_loss(tokens, batch.knobs.top_k or self._engine.top_k or 1)
        self._attended.clear()
        self._router_logits.clear()
        self.log("train/balance_loss", balance)
        loss = answers + recipe.lookup_weight * lookup + recipe.balance_weight * balance
        return loss if frozen else loss + recipe.dense_weight * dense

    def _remember_router(self, _gate: nn.Module, _inputs: object, logits: Tensor) -> None:
        if self.training:
            self._router_logits.append(logits)

    def _remember_attention(self, block: int, _module: nn.Module, inputs: Any) -> None:
        if self.training:
            q, k, _v, mask, _causal = inputs
            self._attended[block] = (q, k, mask)

    def _lookup_loss(self, batch: TrainingBatch) -> Tensor:
        """How far the taught heads' attention is from where it should be.

        The Kullback-Leibler divergence from the shares that groups of tokens get to those they
        should get, the mean over lookups of a head and then over heads.
        """
        losses = []
        rows, heads = batch.looks_from[:, 0], batch.looks_from[:, 2]
        for number, taught in enumerate(TAUGHT_HEADS):
            block = self._taught_blocks[number]
            if block == batch.knobs.skipped_block:
                continue
            # (B, H, T, D), (B, kv heads, T, D), (B, 1, T, T)
            q, k, mask = self._attended[block]
            queries, keys = q[:, taught.head], k[:, taught.head * k.shape[1] // q.shape[1]]
            divergences = []
            for row in range(len(queries)):
                asked = (rows == row) & (heads == number)
                places = batch.looks_from[asked, 1]
                divergences.append(
                    divergence(
                        queries[row, places],
                        keys[row],
                        mask[row, 0, places],
                        batch.looks_at[asked],
                        batch.look_shares[asked],
                    )
                )
            of_head = torch.cat(divergences)
            loss = of_head.mean() if len(of_head) else q.new_zeros(())
            self.log(f"train/look_{number}_{taught.step}", loss)
            losses.append(loss)
        return torch.stack(losses).mean()

    def _balance_loss(self, tokens: Tensor, top_k: int) -> Tensor:
        """1 where experts are evenly used, up to their number where one is used alone.

        Switch Transformers (2021), equation 4, with the shares of all `top_k` choices; the mean
        over blocks. `tokens`, (B * T,) bool, are the positions that are not padding.
        """
        losses = []
        for logits in self._router_logits:
            probabilities = logits[tokens].float().softmax(-1)  # (N, E)
            chosen = probabilities.topk(top_k, dim=-1).indices
            count = probabilities.shape[-1]
            share = torch.bincount(chosen.flatten(), minlength=count) / chosen.numel()
            losses.append(count * (share * probabilities.mean(0)).sum())
        return torch.stack(losses).mean() if losses else torch.zeros((), device=self.device)

    def _see(self, batch: VisionBatch | TrainingBatch, name: str) -> tuple[Tensor, Tensor]:
        """The vision features of crops, (B, N, K, D), and their dense loss, logged under `name`:
        the mean cross-entropy over heads; "nothing here" counts a tenth, as most tokens are it.
        """
        backbone = self.molmo.vision_backbone
        views = batch.pixels.flatten(0, 1), batch.patch_mask.flatten(0, 1)
        tokens = in_parts(
            lambda part: backbone.views(*part), views, backbone.parameters(), self._threads
        )
        features = tokens.view(*batch.pixels.shape[:2], *tokens.shape[1:])  # (B, N, K, D)
        targets = batch.dense_targets
        logits = self.dense_heads(features).float().flatten(0, 2)  # (B * N * K, classes)
        losses: list[Tensor] = []
        parts = logits.split([head.classes for head in HEADS], dim=-1)
        for number, (head, part) in enumerate(zip(HEADS, parts, strict=True)):
            weight = torch.ones(head.classes, device=part.device)
            weight[0] = 0.1
            labels = targets[..., number].flatten()
            losses.append(cross_entropy(part, labels, weight, ignore_index=IGNORED))
            there = labels > 0
            right = (part.argmax(-1) == labels)[there].float().mean()
            self.log(f"train/{name}_{head.name}", right.nan_to_num())
        loss = torch.stack(losses).mean()
        self.log(f"train/{name}_loss", loss)
        return features, loss

    def validation_step(self, batch: EvaluationBatch, _index: int, dataloader_idx: int = 0) -> None:
        """Accuracy of generated answers, one number per data loader."""
        if batch.inputs is None:
            return
        name, questions = list(self._validation.items())[dataloader_idx]
        generated = self._engine.generate(batch.inputs, self._recipe.max_new_tokens)
        metric = self.validation_accuracy[name]
        assert isinstance(metric, MeanMetric)
        scores = [
            exact_match(self._tokenizer.decode(row), questions[prepared.index].answers)
            for row, prepared in zip(generated.tolist(), batch.prepared, strict=True)
        ]
        metric.update(torch.tensor(scores, device=self.device))
        self.log(f"validation/accuracy_{name}", metric, add_dataloader_idx=False, prog_bar=True)

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the recipe with the state it leads to."""
        checkpoint["recipe"] = self._recipe.training_settings

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with another recipe: the learning rate would jump.

        Raises:
            ConfigError: A setting differs.
        """
        for name, value in self._recipe.training_settings.items():
            trained = checkpoint["recipe"].get(name)
            if value != trained:
                raise ConfigError(f"recipe.{name}", value, f"{trained!r}, as the run was started")

    def configure_optimizers(self) -> Any:
        """Muon and AdamW, with a cycle of the learning rate in every phase."""
        recipe = self._recipe
        optimizer = MuonAdamW(self.named_parameters(), recipe.matrix_rate, recipe.weight_decay)
        rates: list[Callable[[int], float]] = [
            partial(learning_rate, recipe, vision=group["vision"])
            for group in optimizer.param_groups
        ]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rates)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
