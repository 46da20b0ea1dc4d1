"""The results file: its schema as designed, aggregates by hand, and never half a file."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from pathlib import Path

import pytest

from tests.support.results import FACTS, KNOBS, LANDSCAPE, PROVENANCE, SQUARE, results_of
from tierexp.errors import DataError, MachineError
from tierexp.results.aggregate import aggregate
from tierexp.results.codec import encode, json_line
from tierexp.results.files import load_results, write_results, write_text
from tierexp.results.intervals import wilson_interval
from tierexp.results.metrics import Number, SharedColumns
from tierexp.results.schema import SCHEMA_VERSION, Failure

SAMPLE_FIELDS = [
    "sample_id",
    "tier",
    "tier_range",
    "selected_crops",
    "selected_tiling",
    "aspect_ratio_mismatch",
    "selected_vision_tokens",
    "actual_vision_tokens",
    "llm_vision_tokens",
    "original_image_size",
    "original_aspect_ratio",
    "target_resolution",
    "target_aspect_ratio",
    "resize_to_fill",
    "content_kept",
    "padding_fraction",
    "top_k",
    "num_active_blocks",
    "question",
    "prediction",
    "answers",
    "accuracy",
]
RUN_FIELDS = [
    "tier",
    "tier_range",
    "selected_crops_distribution",
    "selected_crops_mean",
    "selected_crops_std",
    "selected_vision_tokens_mean",
    "selected_vision_tokens_std",
    "actual_vision_tokens_mean",
    "utilization_mean",
    "aspect_ratio_mismatch_mean",
    "aspect_ratio_mismatch_std",
    "top_k",
    "num_active_blocks",
    "accuracy",
    "accuracy_std",
    "accuracy_ci95",
    "num_samples",
    "num_failed",
    "resize_to_fill",
    "per_sample_results",
]
"""Both from section 6 of the design."""


def test_fields_are_those_of_the_design(tmp_path: Path) -> None:
    write_results(results_of(LANDSCAPE), tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text())
    assert set(RUN_FIELDS) <= set(content)
    sample = content["per_sample_results"][0]
    assert set(SAMPLE_FIELDS) <= set(sample)
    assert next(iter(content)) == "schema_version"
    assert content["schema_version"] == SCHEMA_VERSION
    assert content["tier_range"] == {"min_crops": 4, "max_crops": 8}
    assert sample["original_image_size"] == [640, 480]
    assert sample["target_resolution"] == [448, 672]
    assert sample["selected_tiling"] == [2, 3]


def test_aggregates_by_hand() -> None:
    results = results_of(LANDSCAPE, SQUARE, failures=(Failure("c", "not an image"),))
    assert results.selected_crops_distribution == {4: 1, 6: 1}
    assert list(results.selected_crops_distribution) == [4, 6]
    assert (results.selected_crops_mean, results.selected_crops_std) == (5, 1)
    assert (results.selected_vision_tokens_mean, results.selected_vision_tokens_std) == (864, 144)
    assert results.actual_vision_tokens_mean == 756
    assert results.llm_vision_tokens_mean == 624
    assert results.utilization_mean == pytest.approx((972 / 1008 + 540 / 720) / 2)
    assert results.crop_utilization_mean == pytest.approx((864 / 864 + 396 / 576) / 2)
    assert results.aspect_ratio_mismatch_mean == pytest.approx(0.0326)
    assert results.aspect_ratio_mismatch_std == pytest.approx(0.0326)
    assert results.aspect_ratio_mismatch_p95 == pytest.approx(0.95 * 0.0652)
    assert (results.accuracy, results.accuracy_std) == (0.5, 0.5)
    assert results.accuracy_ci95 == wilson_interval(0.5, 2)
    assert (results.num_samples, results.num_failed) == (2, 1)
    assert results.samples_per_second == 0.5
    assert results.score == "vqa"
    assert {name: (t.accuracy, t.num_samples) for name, t in results.accuracy_by_task.items()} == {
        "coarse": (1.0, 1),
        "read": (0.0, 1),
    }


def test_without_a_scored_sample_there_is_no_mean(tmp_path: Path) -> None:
    results = results_of(failures=(Failure("c", "not an image"),))
    assert (results.accuracy, results.accuracy_ci95, results.utilization_mean) == (None, None, None)
    assert (results.num_samples, results.num_failed) == (0, 1)
    assert results.file_name == "coco-2014-vqa_tier-medium_cropsnone_topk8_blocks14.json"
    write_results(results, tmp_path / "r.json")
    assert load_results(tmp_path / "r.json") == results


def test_file_names_follow_the_rule() -> None:
    assert results_of(LANDSCAPE).file_name == (
        "coco-2014-vqa_tier-medium_crops6_topk8_blocks14.json"
    )
    dense = dataclasses.replace(
        FACTS, dataset="my/photos 1", tier="fixed_432", knobs=KNOBS | {"top_k": None}
    )
    results = aggregate([LANDSCAPE, SQUARE], [], dense, 1.0, PROVENANCE)
    assert results.file_name == "my-photos-1_tier-fixed_432_crops5_topknone_blocks14.json"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    results = results_of(LANDSCAPE, SQUARE, failures=(Failure("c", "not an image"),))
    path = tmp_path / "new folder" / results.file_name
    write_results(results, path)
    assert load_results(path) == results
    assert "né" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("broken", ["replace", "fsync"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "r.json"
    write_results(results_of(LANDSCAPE), path)

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path if broken == "replace" else os, broken, fail)
    with pytest.raises(MachineError, match=r"r\.json cannot be written: no space left"):
        write_results(results_of(SQUARE), path)
    monkeypatch.undo()
    assert load_results(path) == results_of(LANDSCAPE)
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_has_left_goes_and_what_another_writes_stays(tmp_path: Path) -> None:
    path, others = tmp_path / "r[1].json", {"other.json", ".r[1].json.part", ".rx.json.part-a"}
    for name in (*others, ".r[1].json.part-killed"):
        (tmp_path / name).touch()
    with (tmp_path / ".r[1].json.part-living").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_text("{}", path)
        left = {each.name for each in tmp_path.iterdir()}
        assert left == {path.name, ".r[1].json.part-living", *others}


def test_writers_of_the_same_file_leave_one_another_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.json"

    def meanwhile(_: object) -> None:
        monkeypatch.undo()
        write_text("second", path)

    monkeypatch.setattr(os, "fsync", meanwhile)
    write_text("first", path)  # begun before, done after
    assert (path.read_text(), list(tmp_path.iterdir())) == ("first", [path])


def test_a_file_that_is_taken_for_left_before_it_is_held_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.json"

    def too_late(*_: object) -> None:
        monkeypatch.undo()
        next(tmp_path.glob(".r.json.part-*")).unlink()

    monkeypatch.setattr(fcntl, "flock", too_late)
    write_text("text", path)
    assert (path.read_text(), list(tmp_path.iterdir())) == ("text", [path])


def test_results_are_as_readable_as_any_file(tmp_path: Path) -> None:
    write_results(results_of(LANDSCAPE), tmp_path / "r.json")
    (tmp_path / "any").touch()
    assert (tmp_path / "r.json").stat().st_mode == (tmp_path / "any").stat().st_mode


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:50], "is not a results file"),
        (lambda _: "[]", "schema version None"),
        (lambda text: text.replace('"schema_version": 5', '"schema_version": 99'), "version 99"),
        (lambda text: text.replace('"num_failed"', '"failed"'), "num_failed"),
        (lambda text: text.replace('"selected_tiling":[', '"selected_tiling":[1,'), "fields"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, change: object, words: str) -> None:
    path = tmp_path / "r.json"
    write_results(results_of(LANDSCAPE), path)
    assert callable(change)
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=words):
        load_results(path)
    with pytest.raises(DataError, match=r"none\.json"):
        load_results(tmp_path / "none.json")


def test_chance_is_the_mean_of_blind_guesses_where_every_sample_has_one() -> None:
    guessed = [dataclasses.replace(LANDSCAPE, chance=1.0), dataclasses.replace(SQUARE, chance=0.0)]
    known = aggregate(guessed, [], FACTS, 1.0, PROVENANCE)
    assert known.chance == 0.5
    assert known.accuracy_by_task["coarse"].chance == 1.0
    unknown = aggregate([guessed[0], SQUARE], [], FACTS, 1.0, PROVENANCE)
    assert unknown.chance is None
    assert unknown.accuracy_by_task["coarse"].chance == 1.0


def test_the_official_score_of_mme_is_that_of_its_pairs(tmp_path: Path) -> None:
    """Category OCR: image 1 both right, image 2 one of two: accuracy 75 %, accuracy+ 50 %."""
    right = dataclasses.replace(LANDSCAPE, task="OCR", image_key="1", accuracy=1.0)
    wrong = dataclasses.replace(right, image_key="2", accuracy=0.0)
    samples = [right, right, dataclasses.replace(wrong, accuracy=1.0), wrong]
    results = aggregate(samples, [], dataclasses.replace(FACTS, score="mme"), 1.0, PROVENANCE)
    assert results.mme is not None
    assert results.mme.score_by_task == {"OCR": 125.0}
    assert (results.mme.perception, results.mme.num_images) == (None, 2)
    write_results(results, tmp_path / "r.json")
    assert load_results(tmp_path / "r.json") == results
    assert results_of(LANDSCAPE).mme is None


def test_a_line_says_what_the_record_holds_and_only_finite_numbers() -> None:
    sample = dataclasses.replace(LANDSCAPE, prediction="NaN, -Infinity and né")
    line = json_line(sample)
    assert b"\n" not in line
    assert json.loads(line) == encode(sample)
    with pytest.raises(ValueError, match="JSON"):
        json_line(dataclasses.replace(LANDSCAPE, accuracy=float("nan")))


def test_columns_that_share_an_image_are_read_and_written_like_a_dictionary() -> None:
    image: dict[str, Number | None] = {"utilization": 0.5, "crops": 6}
    one, other = (SharedColumns(image, {"confidence": value}) for value in (-0.25, None))
    expected: dict[str, Number | None] = {"utilization": 0.5, "crops": 6, "confidence": -0.25}
    assert (one, dict(one), list(one), len(one)) == (expected, expected, list(expected), 3)
    assert one != other
    assert other["confidence"] is None
    assert one.get("margin") is None
    assert one | {"crops": 7} == {**expected, "crops": 7}
    sample = dataclasses.replace(LANDSCAPE, metrics=one)
    plain = dataclasses.replace(LANDSCAPE, metrics=expected)
    assert sample == plain
    assert sample.crops == 6  # type: ignore[attr-defined]
    assert json.loads(json_line(sample)) == encode(sample) == encode(plain)
    assert repr(sample) == repr(plain)


def test_what_lies_beside_fields_is_numbers_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write_results(results_of(LANDSCAPE), path)
    path.write_text(path.read_text().replace('"content_kept":', '"content_kept":"0.5","x":'))
    with pytest.raises(DataError, match=r"0\.content_kept: '0\.5' is no number"):
        load_results(path)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("content_kept", "half", "is no number"), ("accuracy", "half", "valid number")],
)
def test_of_many_samples_the_damaged_one_is_named(
    tmp_path: Path, field: str, value: str, words: str
) -> None:
    many = [dataclasses.replace(LANDSCAPE, sample_id=str(number)) for number in range(300)]
    path = tmp_path / "r.json"
    write_results(results_of(*many), path)
    assert [sample.sample_id for sample in load_results(path).per_sample_results] == [
        str(number) for number in range(300)
    ]
    content = json.loads(path.read_text())
    content["per_sample_results"][290][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"290\.{field}: .*{words}"):
        load_results(path)
