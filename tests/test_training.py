"""Training is a function of its seed, whether or not it was interrupted, and ends in a checkpoint
that the evaluation reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file

from tierexp.data.tierqa.dataset import TierQA
from tierexp.errors import ConfigError
from tierexp.loading import config_dir, load_tier
from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.training.batches import TrainingBatches
from tierexp.training.run import train

SMALL = [
    "trainer=cpu",
    "logger=none",
    "architecture.d_model=32",
    "architecture.n_layers=1",
    "architecture.n_heads=2",
    "architecture.n_kv_heads=2",
    "architecture.mlp_hidden_size=32",
    "architecture.image_projector_hidden_size=16",
    "architecture.vision_backbone.image_emb_dim=16",
    "architecture.vision_backbone.image_num_layers=2",
    "architecture.vision_backbone.image_mlp_dim=16",
    "recipe.steps=6",
    "recipe.vision_steps=2",
    "recipe.crops_per_batch=4",
    "recipe.questions_per_task=1",
    "recipe.num_workers=0",
    "recipe.validation_questions=1",
    "recipe.validation_every=3",
    "recipe.tiers=[low]",
    "recipe.tier_shares=[1.0]",
]


def run(folder: Path, *overrides: str) -> dict[str, torch.Tensor]:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose("train", [*SMALL, *overrides])
    train(config, folder)
    return load_file(folder / "checkpoint" / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    folder = tmp_path_factory.mktemp("trained")
    return folder, run(folder)


def test_the_same_seed_gives_the_same_weights(
    trained: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    assert same(trained[1], run(tmp_path / "again"))
    assert not same(trained[1], run(tmp_path / "other", "seed=1"))


def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    trained: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = TrainingBatches.__getitem__

    class PowerCutError(Exception):
        pass

    def until_the_fifth(self: TrainingBatches, step: int) -> object:
        if step == 4:
            raise PowerCutError
        return fetch(self, step)

    with monkeypatch.context() as patched:
        patched.setattr(TrainingBatches, "__getitem__", until_the_fifth)
        with pytest.raises(PowerCutError):
            run(tmp_path)
    seen = []

    def watched(self: TrainingBatches, step: int) -> object:
        seen.append(step)
        return fetch(self, step)

    monkeypatch.setattr(TrainingBatches, "__getitem__", watched)
    assert same(trained[1], run(tmp_path, "resume=true"))
    assert seen == [3, 4, 5]


def test_the_checkpoint_is_one_that_evaluation_reads(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))
    model = source.load(torch.device("cpu"))
    assert source.mask_order == "aligned"
    assert model.config.decoder.width == 32
    assert model.top_k == 2


def test_batches_do_not_depend_on_what_was_fetched_before(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))

    def batches() -> TrainingBatches:
        tiers = [(load_tier("low"), 1.0), (load_tier("medium"), 1.0)]
        return TrainingBatches(9, 1, 7, tiers, 8, 1, source.geometry, _fill(), source.tokenizer())

    in_order, alone = batches(), batches()
    for step in range(4):
        in_order[step]
    one, other = in_order[4], alone[4]
    assert all(torch.equal(vars(one)[name], vars(other)[name]) for name in vars(one))


def test_a_batch_has_one_crop_count_and_its_own_questions(
    trained: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    source = MolmoCheckpoint(str(trained[0] / "checkpoint"))
    tokenizer = source.tokenizer()
    tiers = [(load_tier("medium"), 1.0)]
    batch = TrainingBatches(4, 0, 0, tiers, 12, 1, source.geometry, _fill(), tokenizer)[0]
    images, crops = batch.crops.shape[:2]
    assert 5 <= crops <= 9
    assert images == max(1, 12 // crops)
    for row in range(images):
        learned = batch.labels[row][batch.labels[row] != -100].tolist()
        assert learned.count(tokenizer.eos_id) == 5  # one answer for each of five tasks
        patches = batch.input_ids[row] == tokenizer.image_tokens.im_patch
        positions = batch.image_input_idx[row]
        kept = positions[positions >= 0]
        assert sorted(kept.tolist()) == torch.nonzero(patches).flatten().tolist()


def test_validation_images_are_never_trained_on() -> None:
    validation = TierQA(split="validation", max_samples=100)
    train_split = TierQA(split="train", max_samples=100)
    pictures = {validation.scene(i) for i in range(20)}
    assert pictures.isdisjoint(train_split.scene(i) for i in range(20))


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("recipe.steps=0", "recipe.steps"),
        ("recipe.warmup=1.5", "recipe.warmup"),
        ("recipe.tier_shares=[-1]", "recipe.tier_shares"),
        ("recipe.tiers=[low,medium]", "recipe.tiers"),
        ("recipe.tiers=[native]", "recipe.tiers"),
        ("recipe.learning_rate=fast", "recipe.learning_rate"),
        ("architecture.moe_top_k=9", "moe_top_k"),
        ("+architecture.depth=9", "architecture.depth"),
    ],
)
def test_impossible_recipes_are_refused(tmp_path: Path, override: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        run(tmp_path, override)
    assert not (tmp_path / "checkpoint").exists()


def _fill() -> object:
    from tierexp.imaging.resize import Resize

    return Resize()
