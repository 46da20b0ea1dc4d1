"""Results of the older naming: read for what they say, compared, and nothing added."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import run_on_fakes
from tierexp.errors import DataError
from tierexp.report.compare_command import main
from tierexp.results.older import read_older_results

NAME = "coco-2014-vqa_visiontoken1008_topk8_blocks14.json"


def older_sample(number: int, accuracy: float, total: float) -> dict[str, Any]:
    """As the older system wrote them; a time of 0.0 is one that was not taken."""
    return {
        "sample_id": number,
        "target_vision_tokens": 1008,
        "actual_vision_tokens": 700 + number,
        "num_crops": 6,
        "top_k": 8,
        "num_active_blocks": 14,
        "input_text_tokens": 45,
        "output_tokens": 8,
        "actual_num_crops": 6,
        "actual_tiling": [2, 3],
        "accuracy": accuracy,
        "pred": "a cat",
        "metadata": {"question": "What is it?", "answers": ["cat"], "image_size": [640, 480]},
        "T_vision_total": 47.0,
        "T_LLM_prefill": 120.0,
        "T_LLM_decode": 0.0,
        "T_total": total,
    }


CONTENT: dict[str, Any] = {
    "target_vision_tokens": 1008,
    "top_k": 8,
    "num_active_blocks": 14,
    "accuracy": 0.5,
    "num_samples": 4,
    "aggregate_stats": {"T_total_mean": 999.0},
    "per_sample_results": [
        older_sample(n, accuracy, total)
        for n, (accuracy, total) in enumerate(
            [(1.0, 100.0), (0.0, 200.0), (0.3, 300.0), (0.7, 400)]
        )
    ],
}


def write(folder: Path, content: object, name: str = NAME) -> Path:
    file = folder / name
    file.write_text(json.dumps(content))
    return file


def test_what_a_file_says_is_read(tmp_path: Path) -> None:
    results = read_older_results(write(tmp_path, CONTENT))
    assert (results.tier, results.tier_range.min_crops, results.tier_range.max_crops) == (
        "fixed_1008", 6, 6,
    )  # fmt: skip
    assert (results.dataset, results.top_k, results.num_active_blocks) == ("coco_2014_vqa", 8, 14)
    assert (results.accuracy, results.num_samples) == (0.5, 4)
    # Wilson's interval of 2 of 4.
    assert results.accuracy_ci95 == pytest.approx((0.15, 0.85), abs=0.001)
    assert results.selected_vision_tokens_mean == 1008
    assert results.actual_vision_tokens_mean == 701.5
    assert results.latency is not None
    assert set(results.latency.stages) == {"T_vision_total", "T_LLM_prefill", "T_total"}
    total = results.latency.stages["T_total"]
    assert (total.mean, total.p50) == (250, 250)
    assert total.std == pytest.approx(111.803, abs=0.001)
    sample = results.per_sample_results[2]
    assert (sample.sample_id, sample.selected_crops, sample.selected_tiling) == ("2", 6, (2, 3))
    assert (sample.question, sample.prediction) == ("What is it?", "a cat")
    assert (sample.answers, sample.original_image_size) == (("cat",), (640, 480))
    assert (sample.accuracy, sample.new_tokens) == (0.3, 8)


def test_what_a_file_does_not_say_stays_empty(tmp_path: Path) -> None:
    results = read_older_results(write(tmp_path, {"accuracy": 0.5}))
    assert (results.accuracy, results.accuracy_ci95, results.num_samples) == (0.5, None, None)
    for name in (
        "latency", "model", "score", "resize_to_fill", "utilization_mean",
        "actual_vision_tokens_mean", "llm_vision_tokens_mean", "aspect_ratio_mismatch_mean",
    ):  # fmt: skip
        assert getattr(results, name) is None
    sample = {"accuracy": 1.0}
    (read,) = read_older_results(write(tmp_path, {"results": [sample]})).per_sample_results
    assert read.accuracy == 1.0
    assert read.times == {}
    assert {v for k, v in vars(read).items() if k not in ("accuracy", "times")} == {None}


@pytest.mark.parametrize("key", ["per_sample_results", "all_samples", "results"])
def test_samples_under_any_of_their_names(key: str, tmp_path: Path) -> None:
    content = {key: CONTENT["per_sample_results"]}
    assert read_older_results(write(tmp_path, content)).accuracy == 0.5


def test_statistics_stand_in_for_samples(tmp_path: Path) -> None:
    stated = {f"T_total_{name}": 10.0 for name in ("mean", "std", "p50", "p95", "p99")}
    content = {"accuracy": 0.5, "aggregate_stats": stated | {"T_LLM_decode_mean": 3.0}}
    latency = read_older_results(write(tmp_path, content)).latency
    assert latency is not None
    assert list(latency.stages) == ["T_total"]
    assert latency.stages["T_total"].p95 == 10


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (CONTENT, "coco-2014-vqa_imgsize560x784_topk8_blocks14.json", "is not named as"),
        (CONTENT, "coco_visiontokenmany_topk8_blocks14.json", "is not named as"),
        (CONTENT, "coco_visiontoken720_topk8_blocks14.json", "target_vision_tokens=720"),
        (CONTENT, "coco_visiontoken1008_topk4_blocks14.json", "top_k=4"),
        (CONTENT, "coco_visiontoken1008_topk8_blocks16.json", "num_active_blocks=16"),
        ({"accuracy": 0.5}, "coco_visiontoken0_topk8_blocks14.json", "a whole number from 1"),
        ([], NAME, "no JSON object"),
        ({}, NAME, "no accuracy and no latency"),
        ({"something": "else"}, NAME, "no accuracy and no latency"),
        ({"accuracy": "half"}, NAME, "accuracy='half'"),
        ({"accuracy": 50.0}, NAME, "between 0 and 1"),
        ({"results": {"a": 1}}, NAME, "not a list of objects"),
        ({"results": [{"accuracy": 1}, {"accuracy": 2}]}, NAME, "sample 1: accuracy=2"),
        ({"results": [{"T_total": -1.0}]}, NAME, "sample 0: T_total=-1.0 is below 0"),
        ({"results": [{"T_total": float("nan")}]}, NAME, "sample 0: T_total=nan"),
        ({"results": [{"actual_tiling": [2]}]}, NAME, "sample 0: actual_tiling=[2]"),
        ({"results": [{"output_tokens": 1.5}]}, NAME, "output_tokens=1.5 is not a whole"),
        ({"results": [{"pred": 3}]}, NAME, "pred=3 is not text"),
        ({"results": [{"answers": [1]}]}, NAME, "answers=[1]"),
    ],
)
def test_what_is_no_such_file_is_one_line(
    content: object, name: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as error:
        read_older_results(write(tmp_path, content, name))
    assert words in str(error.value)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_older_results(tmp_path / NAME)
    (tmp_path / NAME).write_text("{")
    with pytest.raises(DataError, match="not a results file"):
        read_older_results(tmp_path / NAME)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiers of one data set, evaluated by this project."""
    folder = tmp_path_factory.mktemp("sweep")
    samples = [[[480, 640], "q0", ["a"], "read"], [[512, 512], "q1", ["a"], "read"]]
    outcome = run_on_fakes(
        folder, samples, {"q0": "a", "q1": "b"}, "-m", "tier=low,medium", "logger=none",
        "trainer=cpu",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    return folder / "out"


@pytest.mark.whole
def test_older_and_newer_results_are_one_comparison(
    sweep: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    write(tmp_path, CONTENT)
    write(tmp_path, {"accuracy": 0.25}, "coco-2014-vqa_visiontoken432_topk8_blocks14.json")
    output = tmp_path / "all.json"
    main([str(sweep), str(tmp_path), "--output", str(output)])
    content = json.loads(output.read_text())
    assert [(run["tier"], run["accuracy"]) for run in content["runs"]] == [
        ("low", 0.5), ("medium", 0.5), ("fixed_1008", 0.5), ("fixed_432", 0.25),
    ]  # fmt: skip
    assert content["runs"][2]["utilization_mean"] is None
    assert "per_sample_results" not in content["runs"][2]
    # The newer two are judged as they would be alone.
    assert [check["name"] for check in content["validation"]] == ["accuracy_low_to_medium"]
    out = capsys.readouterr().out
    for word in ("fixed_1008", "50.0% (15.0-85.0)", "dataset", "top_k", "250.0", str(output)):
        assert word in out.replace("\n", "")
    # What older files leave unsaid is no difference.
    assert "model" not in out
    assert "nan" not in out


@pytest.mark.whole
def test_what_the_command_refuses(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    older = write(tmp_path, CONTENT)
    for arguments, words in (
        ([tmp_path / "notes.json", older], "is not named as"),
        ([tmp_path / "empty", older], "no results files"),
        ([tmp_path / "nowhere", older], "is no file and no folder"),
        ([older], "1 results file"),
        ([older, sweep, "--output", tmp_path / "no" / "x.json"], "is not a folder"),
    ):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        assert end.value.code == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert words in err
