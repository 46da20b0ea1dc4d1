"""The model in the box: what is shipped, that it runs end to end, that it sees what it is asked
about, and that its answers do not depend on how they were batched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from PIL import Image

from tests.support.command_line import run_eval
from tierexp.config.location import config_dir
from tierexp.data.plan import plan_evaluation
from tierexp.data.prepare import SamplePreparer
from tierexp.data.sample import QuestionDataset, Sample
from tierexp.data.tierqa import TierQA
from tierexp.data.tierqa.questions import TASKS
from tierexp.evaluation.setup import read_setup
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.models.molmo.config import MolmoConfig
from tierexp.results.files import load_results
from tierexp.results.schema import EvaluationResults
from tierexp.tiers.files import load_tier
from tierexp.tiers.geometry import CropGeometry

FOLDER = Path(__file__).parents[2] / "src" / "tierexp" / "assets" / "tiny"
SAMPLES = 28


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> EvaluationResults:
    folder = tmp_path_factory.mktemp("tiny")
    outcome = run_eval(
        "tier=medium", "logger=none", "trainer=cpu", f"data.max_samples={SAMPLES}",
        "data.num_workers=0", f"output_dir={folder}",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    (path,) = folder.glob("tierqa_tier-medium_*.json")
    return load_results(path)


@pytest.mark.whole
def test_on_other_data_a_line_says_what_it_can_do(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    line = {"id": 1, "image": "a.png", "question": "What is it?", "answers": "a cat"}
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    own = ["data=folder", f"data.path={tmp_path / 'a.jsonl'}"]

    def notes(*overrides: str) -> tuple[str, ...]:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            return read_setup(compose("eval", ["logger=none", "run_name=a", *overrides])).notes

    (note,) = notes(*own)
    assert note.startswith("model tiny has seen tierqa's generated pictures alone")
    assert notes("model=molmo", f"model.checkpoint={FOLDER}/", *own) == (note,)
    assert notes() == notes("data.split=validation") == ()
    copied = shutil.copytree(FOLDER, tmp_path / "trained")  # whatever it was trained on
    assert notes("model=molmo", f"model.checkpoint={copied}", *own) == ()


def test_the_checkpoint_is_small_safe_and_of_the_published_geometry() -> None:
    files = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert set(files) == {"config.json", "model.safetensors", "router.json", "tokenizer.json"}
    assert sum(files.values()) < 12e6
    source = MolmoCheckpoint(str(FOLDER))
    assert source.geometry == CropGeometry()
    assert source.config.decoder.num_experts is not None
    assert source.config.decoder.num_experts > 1


def test_its_config_is_the_one_that_training_pins() -> None:
    from omegaconf import OmegaConf

    pinned = OmegaConf.load(config_dir() / "architecture" / "tiny.yaml")
    architecture = MolmoConfig.from_checkpoint_json(OmegaConf.to_container(pinned))
    assert MolmoCheckpoint(str(FOLDER)).config == architecture


@pytest.mark.whole
def test_a_run_covers_every_sample(results: EvaluationResults) -> None:
    assert (results.num_samples, results.num_failed) == (SAMPLES, 0)
    assert set(results.selected_crops_distribution) <= set(range(4, 9))
    assert {sample.task for sample in results.per_sample_results} == set(TASKS)


@pytest.mark.whole
def test_it_answers_far_above_chance_on_pictures_it_never_saw(results: EvaluationResults) -> None:
    """Chance is the best constant answer to each wording, learned on the training split."""
    train = TierQA("train", max_samples=2000)
    by_wording: dict[str, list[str]] = {}
    for index in range(len(train)):
        sample = train[index]
        by_wording.setdefault(wording(sample.question), []).append(sample.answers[0])
    constant = {key: max(set(said), key=said.count) for key, said in by_wording.items()}
    chance = np.mean(
        [constant[wording(s.question)] in s.answers for s in results.per_sample_results]
    )
    assert chance < 0.4
    assert results.accuracy is not None
    assert results.accuracy > chance + 0.25


@pytest.mark.whole
def test_it_reads_codes_that_nobody_could_guess(results: EvaluationResults) -> None:
    assert results.accuracy_by_task["read"].accuracy > 0.3  # one code in 22 ** 2 at the least


class Blank:
    """The same questions about grey pictures."""

    def __init__(self, dataset: QuestionDataset) -> None:
        self._dataset = dataset
        self.name = dataset.name
        self.score = dataset.score

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Sample:
        return self._dataset[index]

    def image_key(self, index: int) -> str:
        return self._dataset.image_key(index)

    def image_size(self, index: int) -> tuple[int, int]:
        return self._dataset.image_size(index)

    def image(self, index: int) -> NDArray[np.uint8]:
        return np.full((*self.image_size(index), 3), 200, np.uint8)


def answers(dataset: QuestionDataset, batch_size: int) -> dict[int, str]:
    source = MolmoCheckpoint(str(FOLDER), max_new_tokens=8)
    tokenizer = source.tokenizer()
    model = source.load(torch.device("cpu"))
    preprocessing = Preprocessing(load_tier("low"), geometry=source.geometry)
    plan = plan_evaluation(dataset, preprocessing, batch_size)
    builder = source.inputs()
    preparer = SamplePreparer(dataset, plan, preprocessing, builder)
    said = {}
    for batch in plan:
        inputs = builder.collate([preparer[index].inputs for index in batch])
        generated = model.generate(inputs, 8)
        said |= {i: tokenizer.decode(row) for i, row in zip(batch, generated.tolist(), strict=True)}
    return said


@pytest.mark.slow
def test_answers_do_not_depend_on_the_batch_size() -> None:
    dataset = TierQA("test", max_samples=20)
    assert answers(dataset, 1) == answers(dataset, 7)


@pytest.mark.whole
def test_without_the_picture_it_knows_no_code() -> None:
    dataset = TierQA("test", max_samples=20)
    blind = answers(Blank(dataset), 7)
    read = [index for index in blind if dataset[index].task == "read"]
    assert not any(blind[index] in dataset[index].answers for index in read)


def wording(question: str) -> str:
    """The question without its colours and kinds."""
    from tierexp.data.tierqa.questions import PLURALS
    from tierexp.data.tierqa.scene import COLORS, KINDS

    names = {*COLORS, *KINDS, *PLURALS.values()}
    words = question.rstrip("?").replace(",", "").split()
    return " ".join("_" if word in names else word for word in words)
