"""`python optimize_tiers.py`: from sizes to a tier that `eval.py` takes, and what it refuses."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import TESTS, Outcome, assert_refused, run_command, run_eval
from tierexp import Tier, load_tier
from tierexp.results.files import read_results
from tierexp.results.model_free import ModelFreeResults, load_model_free_results
from tierexp.tier_design.results import SCHEMA_VERSION, TierDesign
from tierexp.tier_design.run import optimize_tiers
from tierexp.tier_design.setup import KEYS
from tierexp.tiers.files import shipped_tiers

ROOT = TESTS.parent


def size_file(folder: Path) -> Path:
    """300 sizes, photos and scans mostly."""
    rng = np.random.default_rng(5)
    photos = np.array([[480, 640], [640, 480], [427, 640], [512, 512]])[rng.integers(0, 4, 200)]
    scans = rng.integers((900, 300), (3000, 900), (100, 2))
    path = folder / "my_sizes.csv"
    lines = (f"{h},{w}" for h, w in np.concatenate([photos, scans]).tolist())
    path.write_text("\n".join(["height,width", *lines]))
    return path


def run(*arguments: str) -> Outcome:
    return run_command(optimize_tiers, "optimize_tiers", *arguments)


def design(folder: Path, *arguments: str) -> tuple[TierDesign, Outcome]:
    outcome = run(*arguments, f"output_dir={folder}")
    assert (outcome.code, outcome.err) == (0, "")
    file = folder / "tier_design.json"
    return read_results(TierDesign, SCHEMA_VERSION, file), outcome


def evaluated(folder: Path, *arguments: str) -> ModelFreeResults:
    outcome = run_eval("model=none", *arguments, f"output_dir={folder}")
    assert (outcome.code, outcome.err) == (0, "")
    (path,) = folder.glob("*.json")
    return load_model_free_results(path)


@pytest.mark.whole
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["objective=content_loss", "budget=700", "max_crops=9"],
        [
            "threshold=strict",
            "threshold.metric=content_loss",
            "objective=content_loss",
            "max_crops=10",
        ],
        ["threshold=preferred_only", "min_crops=4", "max_crops=8", "budget=1100", "name=mine"],
    ],
)
def test_the_tier_it_writes_keeps_its_promise(tmp_path: Path, arguments: list[str]) -> None:
    data = ["data=sizes", f"data.path={size_file(tmp_path)}"]
    found, outcome = design(tmp_path / "out", *data, *arguments)
    best = found.chosen.best
    assert best is not None
    (use,) = re.findall(r"use +python eval\.py (.+)", outcome.out)
    results = evaluated(tmp_path / "eval", *use.split(), *data)
    assert results.tier == found.chosen.tier
    assert results.selected_vision_tokens_mean == pytest.approx(best.selected_vision_tokens_mean)
    assert results.selected_vision_tokens_mean <= found.budget
    measured = (
        results.aspect_ratio_mismatch_mean
        if found.objective == "mismatch"
        else 1 - results.content_kept_mean
    )
    assert measured == pytest.approx(best.objective_mean, rel=1e-11)
    for name in ("aspect_ratio_mismatch_mean", "content_kept_mean"):
        assert getattr(found.chosen, name) == pytest.approx(getattr(results, name), rel=1e-11)


@pytest.mark.whole
def test_shipped_tiers_stand_beside_it_and_none_is_better(tmp_path: Path) -> None:
    data = ["data=sizes", f"data.path={size_file(tmp_path)}"]
    found, outcome = design(tmp_path / "out", *data, "max_crops=15")
    assert {figures.tier for figures in found.shipped} == set(shipped_tiers()) - {"fixed"}
    for figures in found.shipped:
        assert figures.best is not None
        if figures.tier != "native":  # by a rule of its own, it is no tier
            assert figures.best.objective_mean <= figures.aspect_ratio_mismatch_mean + 1e-12
        assert re.search(rf"│ {figures.tier} ", outcome.out)
    medium = next(figures for figures in found.shipped if figures.tier == "medium")
    results = evaluated(tmp_path / "eval", *data, "tier=medium")
    assert medium.selected_vision_tokens_mean == results.selected_vision_tokens_mean
    assert medium.aspect_ratio_mismatch_mean == results.aspect_ratio_mismatch_mean
    assert medium.content_kept_mean == pytest.approx(results.content_kept_mean, rel=1e-12)


def test_the_frontier_is_there_to_be_read(tmp_path: Path) -> None:
    data = ["data=sizes", f"data.path={size_file(tmp_path)}"]
    found, outcome = design(tmp_path / "out", *data, "max_crops=9")
    tokens = [point.selected_vision_tokens_mean for point in found.frontier]
    missed = [point.objective_mean for point in found.frontier]
    assert tokens == sorted(set(tokens))
    assert missed == sorted(set(missed), reverse=True)
    assert found.chosen.best == max(
        (p for p in found.frontier if p.selected_vision_tokens_mean <= 1008),
        key=lambda p: p.selected_vision_tokens_mean,
    )
    with (tmp_path / "out" / "frontier.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["selected_vision_tokens_mean"]) for row in rows] == tokens
    assert [float(row["mismatch_mean"]) for row in rows] == missed
    preferred = [tuple(map(int, row["preferred_crops"].split())) for row in rows]
    assert preferred == [point.preferred_crops for point in found.frontier]
    assert "my_sizes · 300 sizes · least mismatch" in outcome.out
    tables = [line for line in outcome.out.splitlines() if line.startswith("│")]
    assert max(map(len, tables)) <= 80
    provenance = found.provenance.config
    assert set(provenance) == set(KEYS)


def test_the_file_is_a_tier_like_those_of_the_box(tmp_path: Path) -> None:
    data = ["data=sizes", f"data.path={size_file(tmp_path)}"]
    found, _ = design(tmp_path / "out", *data, "name=mine", "budget=432", "max_crops=4")
    tier = load_tier(tmp_path / "out" / "tier" / "mine.yaml")
    assert isinstance(tier, Tier)
    best = found.chosen.best
    assert best is not None
    assert (tier.name, tier.preferred_crops) == ("mine", best.preferred_crops)
    assert (tier.min_crops, tier.max_crops) == (best.min_crops, best.max_crops)
    assert tier.typical_vision_tokens == round(best.selected_vision_tokens_mean) <= 432
    assert tier.description == "least mismatch within 432 tokens"


@pytest.mark.whole
def test_a_multirun_designs_a_tier_for_each_budget(tmp_path: Path) -> None:
    outcome = run(
        "-m", "data=sizes", f"data.path={size_file(tmp_path)}", "budget=432,720", "max_crops=6",
        f"output_dir={tmp_path / 'out'}",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    files = sorted((tmp_path / "out").glob("*/tier/*.yaml"))
    assert [file.stem for file in files] == ["designed_432", "designed_720"]


@pytest.mark.whole
@pytest.mark.parametrize(
    ("family", "arguments"),
    [("smolvlm2", ["max_crops=9"]), ("pixtral", ["max_crops=2", "objective=content_loss"])],
)
def test_a_tier_of_another_family_keeps_its_promise(
    tmp_path: Path, family: str, arguments: list[str]
) -> None:
    data = ["data=sizes", f"data.path={size_file(tmp_path)}"]
    found, outcome = design(tmp_path / "out", f"model.family={family}", *data, *arguments)
    best = found.chosen.best
    assert best is not None
    assert f"my_sizes · 300 sizes · {family} · least" in outcome.out
    (use,) = re.findall(r"use +python eval\.py (.+)", outcome.out)
    results = evaluated(tmp_path / "eval", *use.removeprefix("model=none").split(), *data)
    assert results.selected_vision_tokens_mean == best.selected_vision_tokens_mean <= 1008
    measured = (
        results.aspect_ratio_mismatch_mean
        if found.objective == "mismatch"
        else 1 - results.content_kept_mean
    )
    assert measured == pytest.approx(best.objective_mean, rel=1e-11, abs=1e-12)
    # Beside it stand the tiers that the family can reach; the others are lines.
    low = next(figures for figures in found.shipped if figures.tier == "low")
    beside = evaluated(tmp_path / "low", f"model.family={family}", "tier=low", *data)
    assert low.selected_vision_tokens_mean == beside.selected_vision_tokens_mean
    assert low.content_kept_mean == beside.content_kept_mean
    assert {figures.tier for figures in found.shipped} | set(found.unreachable) == set(
        shipped_tiers()
    ) - {"fixed"}
    for name, reason in found.unreachable.items():
        assert f"not {name}: {family} has {reason}" in outcome.out
    assert bool(found.unreachable) == (family == "smolvlm2")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model=tiny"], ["model='tiny'", "none: sizes suffice"]),
        (["model.family=qwen9"], ["model.family='qwen9'", "qwen3_vl"]),
        (["model.family=pixtral", "threshold=strict"], ["threshold='strict'", "leave it out"]),
        (["model.family=llava_ov", "max_crops=4"], ["llava_ov can reach", "288 to 720 tokens"]),
        (["model.family=llava_ov", "budget=400"], ["budget=400", "at least 1485"]),
    ],
)
def test_what_a_family_cannot_do_is_one_line(
    tmp_path: Path, overrides: list[str], words: list[str]
) -> None:
    data = ["data=sizes", f"data.path={size_file(tmp_path)}", f"output_dir={tmp_path / 'out'}"]
    assert_refused(run(*data, *overrides), words)
    assert not list((tmp_path / "out").glob("*.json"))


@pytest.mark.whole
def test_data_sets_and_folders_have_sizes_too(tmp_path: Path) -> None:
    found, _ = design(tmp_path / "qa", "data=tierqa", "data.max_samples=60", "max_crops=4")
    assert (found.dataset, found.num_samples) == ("tierqa", 60)
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (640, 480)).save(photos / "a.png")
    (photos / "b.png").write_bytes(b"no picture")
    data = ["data=sizes", f"data.path={photos}"]
    found, outcome = design(tmp_path / "photos_out", *data, "max_crops=4")
    assert (found.num_samples, found.num_failed) == (1, 1)
    assert found.failures[0].sample_id == "b.png"
    assert "b.png: " in outcome.out
    ended = run(*data, "data.on_error=raise", f"output_dir={tmp_path / 'no'}")
    assert_refused(ended, ["sample b.png", "not an image"])
    (photos / "a.png").unlink()
    failed = run(*data, f"output_dir={tmp_path / 'none'}")
    assert failed.code == 1
    assert failed.err.startswith("error: all 1 samples failed, the first, b.png: ")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("objective=accuracy", ["objective='accuracy'", "mismatch, content_loss"]),
        ("budget=287", ["budget=287", ">= 288"]),
        ("budget=1008.5", ["budget=1008.5", "whole number"]),
        ("budget=null", ["budget=None", "whole number"]),
        ("min_crops=0", ["min_crops=0", "from 1 to 20"]),
        ("max_crops=21", ["max_crops=21", "from 1 to 20"]),
        ("min_crops=17", ["max_crops=16", "from 17 to 20"]),
        ("min_crops=9", ["budget=1008", ">= 1440"]),
        ("name=medium", ["name='medium'", "shipped"]),
        ("name=a/b", ["name='a/b'", "letters"]),
        ("name=''", ["name=''", "text"]),
        ("tier=medium", ["tier='medium'", "no such key; the keys are budget"]),
        ("resize=fill", ["resize='fill'", "no such key; the keys are budget"]),
        ("+extra=1", ["extra=1", "no such key"]),
        ("budgets=5", ["budgets=5", "did you mean budget?"]),
        ("threshold.value=-1", ["threshold.value=-1"]),
        ("+threshold.extra=1", ["threshold.extra=1", "no such key"]),
        ("data.path=/nowhere.csv", ["data.path='/nowhere.csv'"]),
        ("+data.batch_size=8", ["data.batch_size=8", "leave it out"]),
        ("~data.on_error", ["data.on_error=None", "skip, raise"]),
        ("~budget", ["budget", "deleted"]),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, override: str, words: list[str]) -> None:
    path = tmp_path / "sizes.csv"
    path.write_text("height,width\n480,640\n")
    data = ["data=sizes", f"data.path={path}", f"output_dir={tmp_path / 'out'}"]
    assert_refused(run(*data, override), words)
    assert not list((tmp_path / "out").glob("*.json"))


def test_help_explains_every_key_and_option() -> None:
    outcome = run("--help")
    assert outcome.code == 0
    assert max(len(line) for line in outcome.out.splitlines()) <= 80
    for key in KEYS:
        assert re.search(rf"^ *{key}[:=\n ]", outcome.out, re.MULTILINE), key
    for group in ("threshold", "data", "model"):
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert re.search(rf"^ +([a-z0-9_]+, )*{path.stem}[ ,\n]", outcome.out, re.MULTILINE), (
                path
            )


@pytest.mark.whole
def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    arguments = ["data.max_samples=12", "max_crops=3", f"output_dir={tmp_path / 'out'}"]
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['optimize_tiers.py', *{arguments!r}]\n"
        "runpy.run_path('optimize_tiers.py', run_name='__main__')\n"
        "heavy = {'torch', 'lightning', 'wandb', 'torchmetrics'} & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "tier_design.json").read_text())["kind"] == "tier_design"
