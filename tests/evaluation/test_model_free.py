"""Without a model: the same figures as with one, from sizes alone and without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import FAKES, TESTS, assert_refused, run_eval
from tierexp import CropGeometry, Threshold, load_tier, select_crops
from tierexp.errors import DataError
from tierexp.imaging.crops import count_actual_tokens
from tierexp.imaging.measurements import ManyImages
from tierexp.imaging.preprocess import preprocess
from tierexp.imaging.preprocessing import Preprocessing
from tierexp.imaging.resize import Resize, place
from tierexp.results.files import load_results
from tierexp.results.metrics import BUILT_IN, columns_of_images
from tierexp.results.model_free import (
    MISMATCH_EDGES,
    Histogram,
    ModelFreeResults,
    histogram,
    load_model_free_results,
)
from tierexp.results.schema import EvaluationResults, Failure

ROOT = TESTS.parent
LANDSCAPE, PORTRAIT, SQUARE = (480, 640), (640, 480), (512, 512)
SHARED = (
    "tier", "tier_range", "selected_crops_distribution", "selected_crops_mean",
    "selected_crops_std", "selected_vision_tokens_mean", "selected_vision_tokens_std",
    "actual_vision_tokens_mean", "utilization_mean", "aspect_ratio_mismatch_mean",
    "aspect_ratio_mismatch_std", "num_samples", "num_failed", "resize_to_fill", "dataset",
    "llm_vision_tokens_mean", "crop_utilization_mean", "aspect_ratio_mismatch_p95",
    "content_kept_mean", "padding_fraction_mean", "failures",
)  # fmt: skip
"""Every figure of a run with a model that does not depend on what the model answers."""


def measured(pairs: Sequence[tuple[int, int]], how: Preprocessing) -> ManyImages:
    heights, widths = np.array(pairs, np.int64).reshape(-1, 2).T
    return how.measure(heights, widths).images


def size_file(folder: Path, *pairs: tuple[int, int]) -> Path:
    path = folder / "my_sizes.csv"
    path.write_text("\n".join(["height,width", *(f"{h},{w}" for h, w in pairs)]))
    return path


def without_model(folder: Path, *arguments: str) -> ModelFreeResults:
    outcome = run_eval("model=none", f"output_dir={folder}", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    (path,) = folder.glob("*.json")
    return load_model_free_results(path)


def with_model(folder: Path, *arguments: str) -> EvaluationResults:
    table = folder.with_suffix(".table")
    table.write_text("{}")
    outcome = run_eval(
        *FAKES, f"model.table={table}", "trainer=cpu", "logger=none", f"output_dir={folder}",
        *arguments,
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    (path,) = folder.glob("*.json")
    return load_results(path)


def assert_same_figures(measured: ModelFreeResults, evaluated: EvaluationResults) -> None:
    for name in SHARED:
        assert getattr(measured, name) == getattr(evaluated, name), name


RUNS = [
    [],
    ["tier=low", "resize=letterbox", "threshold=strict"],
    ["tier=high", "resize=stretch", "resize.global_view=stretch"],
    ["tier=native", "resize=letterbox"],
]


@pytest.mark.whole
@pytest.mark.parametrize("arguments", RUNS)
def test_the_figures_are_those_of_a_run_with_a_model(tmp_path: Path, arguments: list[str]) -> None:
    images = [LANDSCAPE, PORTRAIT, (0, 1), SQUARE, LANDSCAPE, (300, 1100), (90, 130), (1200, 7)]
    samples = [[size, f"q{index}", ["a"], "t"] for index, size in enumerate(images)]
    (tmp_path / "samples.json").write_text(json.dumps(samples))
    data = [f"data.path={tmp_path / 'samples.json'}", *arguments]
    evaluated = with_model(tmp_path / "with", *data)
    measured = without_model(tmp_path / "without", *FAKES[:2], "data=plain", *data)
    assert measured.num_failed == 1
    assert_same_figures(measured, evaluated)


@pytest.mark.whole
def test_so_they_are_on_generated_pictures(tmp_path: Path) -> None:
    data = ["data=tierqa", "data.max_samples=23"]
    evaluated = with_model(tmp_path / "with", *data, "data.num_workers=0")
    assert_same_figures(without_model(tmp_path / "without", *data), evaluated)


@pytest.mark.whole
def test_so_they_are_on_images_of_ones_own_asked_about_or_not(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    lines = []
    for index, (height, width) in enumerate([LANDSCAPE, (200, 500), (700, 330)]):
        Image.new("RGB", (width, height)).save(photos / f"{index}.png")
        line = {"id": f"{index}", "image": f"{index}.png", "question": "?", "answers": ["!"]}
        lines.append(json.dumps(line))
    (photos / "photos.jsonl").write_text("\n".join(lines))
    asked = ["data=folder", f"data.path={photos / 'photos.jsonl'}"]
    evaluated = with_model(tmp_path / "with", *asked, "data.num_workers=0")
    assert_same_figures(without_model(tmp_path / "asked", *asked), evaluated)
    alone = without_model(tmp_path / "alone", "data=sizes", f"data.path={photos}")
    assert_same_figures(alone, evaluated)


@pytest.mark.parametrize("tier_name", ["low", "medium", "high", "fixed_720", "native"])
@pytest.mark.parametrize(
    "resize", [Resize(), Resize("letterbox"), Resize("stretch", "fill")], ids=lambda r: r.crops
)
def test_every_column_is_that_of_one_image_after_the_other(tier_name: str, resize: Resize) -> None:
    rng = np.random.default_rng(1)
    sides = np.exp(rng.uniform(np.log(1), np.log(6000), (300, 2))).astype(int).tolist()
    pairs = [LANDSCAPE, PORTRAIT, SQUARE, (112, 112), (113, 113), (1, 5000), *map(tuple, sides)]
    tier, threshold = load_tier(tier_name), Threshold()
    for geometry in (CropGeometry(), CropGeometry(overlap_margins=(3, 2), pooling=(2, 3))):
        images = measured(pairs, Preprocessing(tier, threshold, resize, geometry))
        columns = columns_of_images(BUILT_IN, images)
        for row, size in enumerate(pairs):
            selection = select_crops(tier, *size, geometry, threshold)
            canvas = geometry.canvas_size(selection.tiling)
            placement = place(size, canvas, resize.crops)
            side = geometry.crop_size
            view = place(size, (side, side), resize.global_view)
            crop_tokens = count_actual_tokens(placement, selection.tiling, geometry)
            actual = crop_tokens + count_actual_tokens(view, (1, 1), geometry)
            budget = geometry.selected_vision_tokens(selection.crops)
            assert (images.rows[row], images.cols[row]) == selection.tiling
            assert columns["aspect_ratio_mismatch"][row] == selection.mismatch
            assert columns["selected_vision_tokens"][row] == budget
            assert columns["actual_crop_tokens"][row] == crop_tokens
            assert columns["actual_vision_tokens"][row] == actual
            assert columns["llm_vision_tokens"][row] == geometry.llm_vision_tokens(selection.tiling)
            assert columns["utilization"][row] == actual / budget
            crop_budget = budget - geometry.tokens_per_crop
            assert columns["crop_utilization"][row] == crop_tokens / crop_budget
            assert columns["content_kept"][row] == placement.content_kept
            assert columns["padding_fraction"][row] == placement.padding_fraction


def test_tokens_are_those_of_real_preprocessing() -> None:
    pairs = [LANDSCAPE, (90, 610), (333, 41)]
    resize, geometry = Resize("letterbox"), CropGeometry()
    columns = measured(pairs, Preprocessing(load_tier("low"), Threshold(), resize, geometry))
    for row, size in enumerate(pairs):
        tiling = select_crops(load_tier("low"), *size).tiling
        image = preprocess(np.zeros((*size, 3), np.uint8), tiling, resize, geometry)
        # A token sees the image where a patch of its 2 x 2 window does.
        shares = image.patch_mask.reshape(-1, 12, 2, 12, 2).max(axis=(2, 4))
        assert columns.actual_vision_tokens[row] == (shares > 0).sum()
        assert columns.actual_crop_tokens[row] == (shares[1:] > 0).sum()


def test_the_worked_examples_of_the_design(tmp_path: Path) -> None:
    path = size_file(tmp_path, LANDSCAPE, PORTRAIT, SQUARE, LANDSCAPE)
    results = without_model(tmp_path / "out", "data=sizes", f"data.path={path}")
    assert results.file_name == "my-sizes_tier-medium_crops5_model-none.json"
    assert results.selected_crops_distribution == {4: 1, 6: 3}
    mismatches = [1.5 - 528 / 368, 2 / 3 - 368 / 528 + 0.0, 0.0, 1.5 - 528 / 368]
    assert results.aspect_ratio_mismatch_mean == pytest.approx(np.mean(np.abs(mismatches)))
    assert results.selected_vision_tokens_mean == (3 * 1008 + 720) / 4
    assert results.llm_vision_tokens_mean == (3 * 704 + 544) / 4
    assert results.crop_utilization_mean == 1  # filled
    # Letterboxed on the global view of 336 pixels, 4:3 is 252 rows high: 42 of padding above and
    # below, in which 1 of 12 token rows, 28 pixels high, sees nothing.
    seen = [864 + 120, 864 + 120, 576 + 144, 864 + 120]
    assert results.actual_vision_tokens_mean == np.mean(seen)
    assert results.utilization_mean == pytest.approx((3 * 984 / 1008 + 1) / 4)
    counts = results.aspect_ratio_mismatch_histogram.counts
    assert counts == (2, 2, *[0] * 19)  # 0 and 0.03; 0.065 twice
    assert results.aspect_ratio_mismatch_histogram.edges == MISMATCH_EDGES
    assert (results.model, results.kind) == ("none", "model_free")


def test_a_bin_begins_at_its_edge() -> None:
    values = np.array([0.0, 0.049, 0.05, 0.3, 0.999, 1.0, 40.0])
    counts = histogram(values, MISMATCH_EDGES).counts
    assert {MISMATCH_EDGES[i]: n for i, n in enumerate(counts) if n} == {
        0.0: 2, 0.05: 1, 0.3: 1, 0.95: 1, 1.0: 2,
    }  # fmt: skip
    assert histogram(np.array([]), (0.0, 1.0)) == Histogram((0.0, 1.0), (0, 0))


def test_provenance_holds_what_was_read_and_nothing_else(tmp_path: Path) -> None:
    results = without_model(tmp_path, "data=tierqa", "data.max_samples=5", "tier.max_crops=9")
    provenance = results.provenance
    assert set(provenance.config) == {
        "tier", "threshold", "resize", "model", "data", "metric", "output_dir",
    }  # fmt: skip
    assert provenance.config["tier"]["max_crops"] == 9
    assert not {"batch_size", "num_workers"} & set(provenance.config["data"])
    assert "exact" not in provenance.config["resize"]
    assert provenance.seed is None
    assert "numpy" in provenance.versions


@pytest.mark.whole
def test_the_console_says_what_counts(tmp_path: Path) -> None:
    path = size_file(tmp_path, LANDSCAPE, SQUARE)
    outcome = run_eval(
        "model=none", "data=sizes", f"data.path={path}", "logger=none", f"output_dir={tmp_path}"
    )
    text = " ".join(outcome.out.split())
    for figure in ("my_sizes · tier medium · model none", "2 evaluated, 0 failed", "utilization"):
        assert figure in text
    assert "accuracy" not in text
    assert "blocks" not in text
    assert f"results {tmp_path}" in text


@pytest.mark.whole
def test_a_multirun_has_one_file_for_every_tier(tmp_path: Path) -> None:
    path = size_file(tmp_path, LANDSCAPE, SQUARE)
    outcome = run_eval(
        "-m", "model=none", "data=sizes", f"data.path={path}", "tier=low,medium,high",
        f"output_dir={tmp_path / 'out'}",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    paths = sorted((tmp_path / "out").glob("*/*.json"))
    assert [load_model_free_results(path).tier for path in paths] == ["low", "medium", "high"]


@pytest.mark.whole
def test_an_unreadable_image_is_counted_or_ends_the_run(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (40, 30)).save(photos / "a.png")
    (photos / "b.png").write_bytes(b"no picture")
    data = ["data=sizes", f"data.path={photos}"]
    results = without_model(tmp_path / "out", *data)
    assert (results.num_samples, results.num_failed) == (1, 1)
    (failure,) = results.failures
    assert failure.sample_id == "b.png"
    assert "not an image" in failure.reason
    ended = run_eval("model=none", *data, "data.on_error=raise", f"output_dir={tmp_path / 'no'}")
    assert_refused(ended, ["sample b.png", "not an image"])
    (photos / "a.png").unlink()
    failed = run_eval("model=none", *data, f"output_dir={tmp_path / 'none'}")
    assert failed.code == 1
    assert failed.err.startswith("error: all 1 samples failed, the first, b.png: ")
    (path,) = (tmp_path / "none").glob("*.json")
    alone = load_model_free_results(path)
    assert alone.utilization_mean is None
    assert [type(f) for f in alone.failures] == [Failure]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainer=cpu", ["trainer='cpu'", "model=none", "leave it out"]),
        ("trainer.devices=2", ["trainer.devices=2", "model=none"]),
        ("+trainer.max_epochs=2", ["trainer.max_epochs=2", "model=none"]),
        ("logger=csv", ["logger='csv'", "model=none"]),
        ("logger.mode=offline", ["logger.mode='offline'", "model=none"]),
        ("seed=0", ["seed=0", "model=none"]),
        ("results.columns=parquet", ["results.columns='parquet'", "model=none"]),
        ("run_name=x", ["run_name='x'", "model=none"]),
        ("resize.exact=true", ["resize.exact=True", "model=none"]),
        ("+data.batch_size=8", ["data.batch_size=8", "model=none"]),
        ("data.batch_size=8", ["data.batch_size=8", "keys of data are max_samples, name"]),
        ("+data.split=test", ["data.split='test'", "keys of data are max_samples, name"]),
        ("model.top_k=2", ["model.top_k=2", "no such key", "the keys of model are family"]),
        ("+model.top_k=2", ["model.top_k=2", "no such key", "the keys of model are family"]),
        ("+extra=2", ["extra=2", "no such key"]),
        ("~data.on_error", ["data.on_error=None", "skip, raise"]),
        ("data.path=/nowhere.csv", ["data.path='/nowhere.csv'", "height and width"]),
        ("data.max_samples=0", ["data.max_samples=0", ">= 1"]),
        ("tier.min_crops=9", ["tier.min_crops=9"]),
        ("model=tiny", ["data='sizes'", "tierqa", "model=none"]),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, override: str, words: list[str]) -> None:
    path = size_file(tmp_path, LANDSCAPE)
    data = ["model=none", "data=sizes", f"data.path={path}", f"output_dir={tmp_path / 'out'}"]
    assert_refused(run_eval(*data, override), words)
    assert not list((tmp_path / "out").glob("*.json"))


def test_loading_settings_of_questions_are_refused_too(tmp_path: Path) -> None:
    outcome = run_eval("model=none", "data.num_workers=2", f"output_dir={tmp_path}")
    assert_refused(outcome, ["data.num_workers=2", "model=none"])


def test_a_wrong_line_is_named(tmp_path: Path) -> None:
    path = size_file(tmp_path, LANDSCAPE, (0, 5))
    outcome = run_eval("model=none", "data=sizes", f"data.path={path}", f"output_dir={tmp_path}")
    assert_refused(outcome, ["my_sizes.csv, line 3", "height is '0'"])


def test_the_two_kinds_of_results_are_not_mixed_up(tmp_path: Path) -> None:
    path = size_file(tmp_path, LANDSCAPE)
    results = without_model(tmp_path / "out", "data=sizes", f"data.path={path}")
    file = tmp_path / "out" / results.file_name
    with pytest.raises(DataError, match="schema version 2"):
        load_results(file)
    file.write_text(file.read_text().replace('"model_free"', '"other"', 1))
    with pytest.raises(DataError, match="of the kind 'other'"):
        load_model_free_results(file)


@pytest.mark.whole
def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    """By any source of images: one after the other in one process, which says at which it was."""
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    line = {"id": "a", "image": "a.png", "question": "?", "answers": ["!"]}
    (tmp_path / "photos.jsonl").write_text(json.dumps(line))
    sources = {
        "tierqa": ["data=tierqa"],
        "sizes": ["data=sizes", f"data.path={tmp_path}"],
        "folder": ["data=folder", f"data.path={tmp_path / 'photos.jsonl'}"],
    }
    script = (
        "import runpy, sys\n"
        f"for name, source in {sources!r}.items():\n"
        f"    sys.argv = ['eval.py', 'model=none', *source, f'output_dir={tmp_path}/{{name}}']\n"
        "    runpy.run_path('eval.py', run_name='__main__')\n"
        "    heavy = {'torch', 'lightning', 'wandb', 'torchmetrics'} & sys.modules.keys()\n"
        "    if heavy:\n"
        "        sys.exit(f'{name} imported {heavy}')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(len(list((tmp_path / name).glob("*.json"))) == 1 for name in sources)
