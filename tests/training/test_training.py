"""Training is a function of its seed, whether or not it was interrupted, and ends in a checkpoint
that the evaluation reads."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from safetensors.torch import load_file

from tests.support.parameters import slow
from tests.support.small_recipe import ARCHITECTURE, SMALL
from tierexp.config.build import build
from tierexp.config.location import config_dir
from tierexp.data.tierqa.generator import generate_scene
from tierexp.data.tierqa.questions import PER_PICTURE
from tierexp.errors import ConfigError
from tierexp.models.molmo.checkpoint import MolmoCheckpoint, save_checkpoint
from tierexp.models.molmo.model import Molmo
from tierexp.models.molmo.tokenizer_training import train_tokenizer
from tierexp.tiers.files import load_tier
from tierexp.training.batches import Knobs, TrainingBatch, TrainingBatches, VisionBatch
from tierexp.training.module import MolmoTraining
from tierexp.training.recipe import Phase, Recipe, learning_rate
from tierexp.training.reporting import keep_earlier_losses
from tierexp.training.run import train

TIERS = {name: load_tier(name) for name in ("low", "medium")}


def config_of(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("train", [*SMALL, *overrides])


def recipe_of(*overrides: str) -> Recipe:
    recipe: Recipe = build(config_of(*overrides), "recipe")
    return recipe


TOKENIZERS: dict[int, bytes] = {}
"""Trained before, by the size of their vocabulary: a quarter of a run's time."""


def kept_tokenizer(texts: Iterable[str], vocab_size: int, path: Path) -> None:
    if vocab_size not in TOKENIZERS:
        train_tokenizer(texts, vocab_size, path)
        TOKENIZERS[vocab_size] = path.read_bytes()
    path.write_bytes(TOKENIZERS[vocab_size])


def run(folder: Path, *overrides: str) -> dict[str, torch.Tensor]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tierexp.training.run.train_tokenizer", kept_tokenizer)
        train(config_of(*overrides), folder)
    return load_file(folder / "checkpoint" / "model.safetensors")


WIDER = ["architecture.vision_backbone.image_emb_dim=32"]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    folder = tmp_path_factory.mktemp("trained")
    return folder, run(folder)


@pytest.mark.whole
def test_the_same_seed_gives_the_same_weights(
    trained: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    TOKENIZERS.clear()  # it is a part of what is the same
    assert same(trained[1], run(tmp_path / "again"))
    assert not same(trained[1], run(tmp_path / "other", "seed=1"))


@pytest.mark.whole
@pytest.mark.parametrize(("cut", "saved"), [(4, 3), slow(8, 6)])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    trained: tuple[Path, dict[str, torch.Tensor]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut: int,
    saved: int,
) -> None:
    """Interrupted before and after the middle, where what is left is more and less than what is
    done."""
    fetch = TrainingBatches.__getitem__

    class PowerCutError(Exception):
        pass

    def until_the_cut(self: TrainingBatches, step: int) -> object:
        if step == cut:
            raise PowerCutError
        return fetch(self, step)

    with monkeypatch.context() as patched:
        patched.setattr(TrainingBatches, "__getitem__", until_the_cut)
        with pytest.raises(PowerCutError):
            run(tmp_path)
    seen = []

    def watched(self: TrainingBatches, step: int) -> object:
        seen.append(step)
        return fetch(self, step)

    monkeypatch.setattr(TrainingBatches, "__getitem__", watched)
    assert same(trained[1], run(tmp_path, "resume=true"))
    assert seen == list(range(saved, 9))


@pytest.mark.slow
def test_the_smoke_recipe_goes_through_every_kind_of_phase(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A few steps each, on a small model; what comes out is read by evaluation."""
    small = [*ARCHITECTURE, "trainer=cpu", "logger=none", "recipe=smoke"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose("train", small)
    recipe: Recipe = build(config, "recipe")
    kinds = {(bool(p.tiers), p.vision_rate == 0, bool(p.varied_knobs)) for p in recipe.phases}
    assert kinds == {(False, False, False), (True, True, False), (True, False, True)}
    assert recipe.steps < 12
    with caplog.at_level("INFO", logger="tierexp"):
        train(config, tmp_path)
    said = " ".join(record.getMessage() for record in caplog.records)
    assert f"training from step 0 to {recipe.steps}" in said
    assert f"step 4 of {recipe.steps}, " in said
    assert " s a step, " in said
    assert said.count("validation accuracy: low") == recipe.steps // recipe.validation_every
    source = MolmoCheckpoint(str(tmp_path / "checkpoint"))
    network = source.load(torch.device("cpu")).network
    assert all(parameter.isfinite().all() for parameter in network.parameters())


@pytest.mark.whole
def test_ctrl_c_saves_the_step_it_interrupts(
    trained: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first step, before any state was due; what goes on from it ends like a whole run."""
    learn = MolmoTraining.training_step
    before = signal.getsignal(signal.SIGINT)  # ignored where a shell started this behind itself

    def interrupted(self: MolmoTraining, *arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return learn(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(MolmoTraining, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, "resume=true")  # nothing to resume: it begins
    state = torch.load(tmp_path / "training_states" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert same(trained[1], run(tmp_path, "resume=true"))


def test_a_resumed_run_keeps_the_losses_of_the_part_before(tmp_path: Path) -> None:
    file = tmp_path / "csv" / "metrics.csv"
    keep_earlier_losses(file)
    file.parent.mkdir()
    for number in (1, 2):
        file.write_text(str(number))
        keep_earlier_losses(file)
        assert not file.exists()
        assert file.with_name(f"metrics-{number}.csv").read_text() == str(number)


@pytest.mark.whole
def test_the_checkpoint_is_one_that_evaluation_reads(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))
    model = source.load(torch.device("cpu"))
    assert source.config.mask_order == "aligned"
    assert model.network.config.decoder.width == 32
    assert model.top_k == 2


@pytest.mark.whole
def test_batches_do_not_depend_on_what_was_fetched_before(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))

    def batches() -> TrainingBatches:
        tiers = ("low", "medium")
        phases = [Phase(1, 1e-3, 8), Phase(8, 1e-3, 8, tiers, (1, 1), rehearsed_crops=3)]
        return TrainingBatches(phases, TIERS, 7, source.config, _fill(), source.tokenizer())

    in_order, alone = batches(), batches()
    for step in range(4):
        in_order[step]
    one, other = in_order[4], alone[4]
    assert one.frozen_vision is other.frozen_vision is False
    assert one.knobs == other.knobs
    assert len(one.rehearsed.pixels) == 3
    for mine, others, count in ((one, other, 11), (one.rehearsed, other.rehearsed, 3)):
        tensors = [n for n, value in vars(mine).items() if isinstance(value, torch.Tensor)]
        assert len(tensors) == count
        assert all(torch.equal(getattr(mine, n), getattr(others, n)) for n in tensors)


@pytest.mark.whole
def test_crowded_crops_are_shown_four_times(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))
    phases = [Phase(400, 1e-3, 8)]
    batches = TrainingBatches(phases, {}, 7, source.config, _fill(), source.tokenizer())
    seen: dict[bytes, list[int]] = {}
    for step in (300, 0, 97, 194, 291, 388):
        for crop in batches[step].pixels:
            seen.setdefault(crop.numpy().tobytes(), []).append(step)
    times = sorted(map(tuple, seen.values()))
    assert times.count((0, 97, 194, 291)) == 2  # 8 crops a step, a quarter of them new
    assert sum(map(len, times)) == 6 * 8
    assert times.count((300,)) == 8


def test_a_batch_has_one_crop_count_and_its_own_questions(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))
    tokenizer = source.tokenizer()
    phases = [Phase(4, 1e-3, 12, ("medium",), (1,))]
    batch = TrainingBatches(phases, TIERS, 0, source.config, _fill(), tokenizer)[0]
    images, crops = batch.pixels.shape[:2]
    assert 5 <= crops <= 9
    assert images == max(1, 12 // crops)
    for row in range(images):
        learned = batch.labels[row][batch.labels[row] != -100].tolist()
        assert learned.count(tokenizer.eos_id) == PER_PICTURE  # an answer for each question
        patches = batch.input_ids[row] == tokenizer.image_tokens.im_patch
        positions = batch.image_input_idx[row]
        kept = positions[positions >= 0]
        assert sorted(kept.tolist()) == torch.nonzero(patches).flatten().tolist()


@pytest.mark.whole
def test_knobs_are_varied_in_their_share_of_the_batches(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))

    def knobs(share: float, count: int) -> list[Knobs]:
        phases = [Phase(60, 1e-3, 2, ("low",), (1,), varied_knobs=share)]
        batches = TrainingBatches(phases, TIERS, 0, source.config, _fill(), source.tokenizer())
        return [batches[step].knobs for step in range(count)]

    assert set(knobs(0, 5)) == {Knobs()}
    varied = knobs(1, 24)
    # 8 experts, 2 by default; 4 blocks
    assert {knob.top_k for knob in varied} == {None, 1, 3, 4}
    assert {knob.skipped_block for knob in varied} == {None, 0, 1, 2, 3}
    assert all((knob.top_k is None) != (knob.skipped_block is None) for knob in varied)
    assert 3 < sum(knob == Knobs() for knob in knobs(0.5, 16)) < 13


def test_deeper_blocks_are_skipped_more_often(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))
    phase = Phase(1, 1e-3, 2, ("low",), (1,), varied_knobs=1)
    batches = TrainingBatches([phase], TIERS, 0, source.config, _fill(), source.tokenizer())
    rng = Random(0)
    drawn = [batches._knobs(rng, phase).skipped_block for _ in range(4000)]
    counts = [drawn.count(block) for block in range(4)]
    assert [count / sum(counts) for count in counts] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4], abs=0.04
    )


@pytest.mark.whole
def test_a_knob_that_is_turned_reaches_the_decoder(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    """Without a block its weights get no gradient; with all experts, every expert gets one."""
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))
    recipe = recipe_of()
    module = MolmoTraining(source.config, recipe, source.tokenizer(), {})
    module.log = lambda *_args, **_kwargs: None  # type: ignore[method-assign]
    batches = TrainingBatches(recipe.phases, TIERS, 0, source.config, _fill(), source.tokenizer())
    batch = batches[2]
    for skipped in (None, 0, 2):
        module.zero_grad()
        module.training_step(replace(batch, knobs=Knobs(skipped_block=skipped)), 0).backward()
        blocks = module.molmo.transformer.blocks
        idle = [n for n, block in enumerate(blocks) if block.attn.att_proj.weight.grad is None]
        assert idle == ([] if skipped is None else [skipped])
    module.zero_grad()
    module.training_step(replace(batch, knobs=Knobs(top_k=8)), 0).backward()
    gradient = module.molmo.transformer.blocks[0].mlp.experts.down_proj.grad
    assert (gradient.abs().sum((1, 2)) > 0).all()


@pytest.mark.whole
def test_rehearsed_crops_add_their_dense_loss(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))
    recipe = recipe_of("recipe.dense_weight=0.5")
    module = MolmoTraining(source.config, recipe, source.tokenizer(), {})
    module.log = lambda *_args, **_kwargs: None  # type: ignore[method-assign]
    phases = [Phase(4, 1e-3, 4, ("low",), (1,), rehearsed_crops=5)]
    batches = TrainingBatches(phases, TIERS, 0, source.config, _fill(), source.tokenizer())
    batch = batches[0].to(torch.device("cpu"))
    weight = module.molmo.vision_backbone.image_vit.patch_embedding.weight

    def loss_and_gradient(of: TrainingBatch | VisionBatch) -> tuple[float, torch.Tensor]:
        module.zero_grad()
        loss = module.training_step(of, 0)
        loss.backward()
        return loss.item(), weight.grad.clone()

    assert len(batch.rehearsed.pixels) == 5
    both, together = loss_and_gradient(batch)
    without, images = loss_and_gradient(replace(batch, rehearsed=None))
    alone, rehearsed = loss_and_gradient(batch.rehearsed)
    assert both == pytest.approx(without + 0.5 * alone, rel=1e-5)
    torch.testing.assert_close(together, images + 0.5 * rehearsed)


def test_only_the_training_split_is_trained_on(
    trained: tuple[Path, dict[str, torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tierexp.training import batches

    drawn = []

    def watched(split: str, index: int) -> object:
        drawn.append(split)
        return generate_scene(split, index)

    monkeypatch.setattr(batches, "generate_scene", watched)
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))
    phases = [Phase(4, 1e-3, 8, ("low",), (1,))]
    TrainingBatches(phases, TIERS, 0, source.config, _fill(), source.tokenizer())[1]
    assert set(drawn) == {"train"}


def test_the_mask_order_of_the_architecture_is_the_one_trained_on(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))
    phases = [Phase(4, 1e-3, 8, ("medium",), (1,))]
    models = [replace(source.config, mask_order=order) for order in ("aligned", "shifted")]
    aligned, shifted = (
        TrainingBatches(phases, TIERS, 0, model, _letterbox(), source.tokenizer())[0]
        for model in models
    )
    assert (shifted.patch_mask[:, -1] == -1).all()
    assert torch.equal(shifted.patch_mask[:, :-1], aligned.patch_mask[:, 1:])


@pytest.mark.whole
def test_a_run_is_neither_lost_nor_resumed_by_mistake(
    trained: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"output_dir=.*resume=true"):
        run(trained[0])
    weights = tmp_path / "checkpoint" / "model.safetensors"
    weights.parent.mkdir()
    weights.touch()  # somebody's, without the state they come from
    with pytest.raises(ConfigError, match=r"resume=True.*last\.ckpt"):
        run(tmp_path, "resume=true")
    with pytest.raises(ConfigError, match=r"recipe\.warmup=0\.1 .*as the run was started"):
        run(trained[0], "resume=true", "recipe.warmup=0.1")
    (phases,) = (o for o in SMALL if o.startswith("recipe.phases"))
    other = phases.replace("shares: [1]", "shares: [1], varied_knobs: 1")
    with pytest.raises(ConfigError, match=r"recipe\.phases=.*as the run was started"):
        run(trained[0], "resume=true", other)


def test_a_run_can_start_from_a_vision_backbone(
    trained: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    from tierexp.training.fit import start_vision_from

    folder = trained[0] / "checkpoint"
    model = Molmo(MolmoCheckpoint(str(folder)).config)
    start_vision_from(model, folder)
    save_checkpoint(model, tmp_path, torch.float16)
    written = load_file(tmp_path / "model.safetensors")
    taken_over = {key for key in written if torch.equal(written[key], trained[1][key])}
    assert {key for key in written if "vision_backbone" in key} <= taken_over
    assert "lm_head.weight" not in taken_over
    with pytest.raises(ConfigError, match=r"recipe\.vision_from"):
        run(tmp_path / "other", f"recipe.vision_from={folder}", *WIDER)


def test_every_phase_has_a_cycle_of_its_own() -> None:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        phases = (
            "[{steps: 20, learning_rate: 1, crops_per_batch: 2}, "
            "{steps: 40, learning_rate: 0.5, crops_per_batch: 2, tiers: [low], shares: [1]}]"
        )
        config = compose("train", ["recipe.warmup=0.1", f"recipe.phases={phases}"])
    recipe: Recipe = build(config, "recipe")
    rates = [learning_rate(recipe, step) for step in range(61)]
    assert rates[0] == pytest.approx(1 / 3)  # rises for 2 steps
    assert max(rates[:20]) == rates[2] == 1
    assert rates[11] == pytest.approx(0.5)  # half of the 18 steps in which it falls
    assert max(rates[20:]) == rates[24] == 0.5
    assert rates[42] == pytest.approx(0.25)
    assert rates[19] < 0.02
    assert rates[60] == pytest.approx(0)


def test_the_vision_part_learns_at_a_rate_of_its_own() -> None:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        phases = (
            "[{steps: 4, learning_rate: 1, crops_per_batch: 2}, {steps: 8, learning_rate: 0.5, "
            "crops_per_batch: 2, tiers: [low], shares: [1], vision_rate: 0.2}]"
        )
        recipe: Recipe = build(compose("train", [f"recipe.phases={phases}"]), "recipe")
    for step in range(12):
        share = 1 if step < 4 else 0.2
        expected = share * learning_rate(recipe, step)
        assert learning_rate(recipe, step, vision=True) == pytest.approx(expected)


def test_the_schedule_gives_the_vision_part_its_rate(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))
    phases = (
        "[{steps: 4, learning_rate: 1, crops_per_batch: 2, tiers: [low], shares: [1], "
        "vision_rate: 0.2}]"
    )
    recipe = recipe_of(f"recipe.phases={phases}")
    module = MolmoTraining(source.config, recipe, source.tokenizer(), {})
    configured = module.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    for step in range(1, 4):
        optimizer.step()
        schedule.step()
        for group in optimizer.param_groups:
            share = 0.2 if group["vision"] else 1.0
            expected = share * learning_rate(recipe, step)
            assert group["lr"] / group["initial_lr"] == pytest.approx(expected)


@pytest.mark.whole
def test_vision_at_rate_0_stays_as_it_is(tmp_path: Path) -> None:
    def phases(steps: int) -> str:
        return (
            "recipe.phases=[{steps: 2, learning_rate: 2e-3, crops_per_batch: 4}, "
            f"{{steps: {steps}, learning_rate: 2e-3, crops_per_batch: 4, tiers: [low], "
            "shares: [1], vision_rate: 0}]"
        )

    shorter, longer = run(tmp_path / "a", phases(1)), run(tmp_path / "b", phases(3))
    for name in shorter:
        seeing = "vision_backbone" in name
        assert not seeing or torch.equal(shorter[name], longer[name]), name
    assert not same(shorter, longer)


def one_phase(others: str) -> str:
    return f"recipe.phases=[{{steps: 9, learning_rate: 1, crops_per_batch: 2, {others}}}]"


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("recipe.phases=[{steps: 0}]", r"recipe\.phases\[0\]\.steps"),
        ("recipe.phases=[{step: 9}]", "step"),
        ("recipe.phases=[{steps: 9}]", r"recipe\.phases\[0\]\.learning_rate"),
        ("recipe.phases=[{steps: 9, learning_rate: fast}]", "learning_rate"),
        ("recipe.phases=[{steps: 9, learning_rate: 1}]", "crops_per_batch"),
        (one_phase("tiers: [], shares: []"), "recipe.phases"),
        (one_phase("tiers: [low], shares: [1], vision_rate: -1"), "vision_rate"),
        (one_phase("vision_rate: 0"), "vision_rate"),
        (one_phase("tiers: [low]"), "shares"),
        (one_phase("tiers: low, shares: 1"), "a list"),
        (one_phase("tiers: [low], shares: [1], background: 0.5"), "a list"),
        (one_phase("varied_knobs: 0.5"), r"^recipe\.phases\[0\]\.varied_knobs="),
        (one_phase("rehearsed_crops: 4"), r"^recipe\.phases\[0\]\.rehearsed_crops="),
        (one_phase("tiers: [low], shares: [1], rehearsed_crops: -1"), "rehearsed_crops"),
        (
            one_phase("tiers: [low], shares: [1], rehearsed_crops: 4, vision_rate: 0"),
            "rehearsed_crops",
        ),
        (one_phase("tiers: [low], shares: [much]"), "shares"),
        (one_phase("tiers: [lowest], shares: [1]"), "lowest"),
        (one_phase("tiers: [low], shares: [1], questions_per_task: 0"), "questions_per_task"),
        ("recipe.phases=many", "recipe.phases"),
        ("recipe.warmup=1.5", "recipe.warmup"),
        ("trainer.devices=0", r"trainer\.devices=0"),
        ("recipe.dense_weight=true", "recipe.dense_weight"),
        ("resume=maybe", "resume"),
        ("seed=-1", "seed"),
        ("architecture.embedding_size=200", "architecture.embedding_size"),
        ("architecture.additional_vocab_size=2", "additional_vocab_size=2"),
        ("architecture.image_pooling_w=3", "architecture.image_pooling_h"),
        ("architecture.overlap_margins=[3,5]", "architecture.image_pooling_h"),
        ("+architecture.vision_backbone.dropout=0.1", "architecture.vision_backbone.dropout"),
        ("architecture.moe_top_k=9", "moe_top_k"),
        ("architecture.n_layers=3", "architecture.n_layers"),
        ("architecture.n_heads=1 & architecture.n_kv_heads=1", "architecture.n_heads"),
        ("+architecture.depth=9", "architecture.depth"),
    ],
)
def test_impossible_recipes_are_refused(tmp_path: Path, override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        run(tmp_path, *override.split(" & "))
    assert not (tmp_path / "checkpoint").exists()


def _fill() -> object:
    from tierexp.imaging.resize import Resize

    return Resize()


def _letterbox() -> object:
    from tierexp.imaging.resize import Resize

    return Resize(crops="letterbox")


@pytest.mark.whole
def test_the_taught_head_is_the_one_whose_attention_is_judged(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    """By hand, with neighbouring query heads that share a key head."""
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))
    decoder = replace(source.config.decoder, num_heads=4, num_kv_heads=2)
    model = replace(source.config, decoder=decoder)
    recipe = recipe_of()
    module = MolmoTraining(model, recipe, source.tokenizer(), {})
    logged: dict[str, torch.Tensor] = {}
    module.log = lambda name, value, **_: logged.update({name: value})  # type: ignore[method-assign]
    batches = TrainingBatches(recipe.phases, TIERS, 0, model, _fill(), source.tokenizer())
    drawn = (batches[step] for step in range(2, 9))
    batch = next(x for x in drawn if set(x.looks_from[:, 2].tolist()) == set(range(9)))
    seen: dict[int, tuple[torch.Tensor, ...]] = {}
    for number, block in enumerate(module.molmo.transformer.blocks):
        block.attn.attention.register_forward_pre_hook(
            lambda _module, inputs, number=number: seen.update({number: inputs})
        )
    module.training_step(batch, 0)
    heads = [(0, 0), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1), (3, 0), (3, 1)]
    for number, (block, head) in enumerate(heads):
        q, k, _, mask, _ = seen[block]
        losses = []
        for (row, place, asked), at, shares in zip(
            batch.looks_from.tolist(), batch.looks_at, batch.look_shares, strict=True
        ):
            if asked != number:
                continue
            scores = (k[row, head // 2] @ q[row, head, place]).double() / q.shape[-1] ** 0.5
            scores[~mask[row, 0, place]] = -torch.inf
            attention = scores.softmax(0)
            for group, share in enumerate(shares.tolist(), start=1):
                if share:
                    got = float(attention[at == group].sum().detach())
                    losses.append(share * (math.log(share) - math.log(got + 1e-6)))
        count = int((batch.looks_from[:, 2] == number).sum())
        name = next(name for name in logged if name.startswith(f"train/look_{number}_"))
        assert float(logged[name].detach()) == pytest.approx(sum(losses) / max(count, 1), rel=1e-3)
        assert count
