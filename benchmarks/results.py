"""Results files and intervals beside those of commit 44dde4c, in one run.

In: a checkout of that commit (`git worktree add --detach DIR 44dde4c`), named by `--before`. Out: a
table of processor times and peak memory, before and now, and whether the intervals are the same.
Each side runs in a process of its own, the two in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from older_commit import checkout

MEASURE = """
import json, resource, sys, time, tracemalloc
import numpy as np
what, file, count, per_image = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
found = {}
try:
    from tierexp.results.files import load_results, write_results
    from tierexp.results import intervals as ours
    now = True
except ModuleNotFoundError:
    from tierexp.evaluation.results import load_results, write_results
    from tierexp.evaluation.validation import bootstrap as ours
    now = False
if what == "files":
    started = time.process_time()
    results = load_results(file)
    found["read schema 4, s"] = time.process_time() - started
    from pathlib import Path
    started = time.process_time()
    write_results(results, Path(file + ".again"))
    found["write, s"] = time.process_time() - started
    started = time.process_time()
    del results
    results = load_results(file + ".again")
    found["read what it wrote, s"] = time.process_time() - started
    tracemalloc.start()
    write_results(results, Path(file + ".again"))
    found["write, peak MiB"] = tracemalloc.get_traced_memory()[1] / 2**20
else:
    rng = np.random.default_rng(1)
    images = [f"image-{n // per_image}" for n in range(count)]
    mismatch = np.repeat(rng.gamma(2, 0.05, -(-count // per_image)), per_image)[:count]
    used = 1 - mismatch / 4
    tracemalloc.start()
    started = time.process_time()
    if now:
        from tierexp.results.intervals import Quantile, intervals, mean_of
        answer = intervals(
            [mean_of(mismatch), Quantile(mismatch, .95), Quantile(mismatch, .99), mean_of(used),
             Quantile(used, .05)], images)
    else:
        mean, quantile = ours.mean_interval, ours.quantile_interval
        answer = [mean(mismatch, images), quantile(mismatch, images, .95),
                  quantile(mismatch, images, .99), mean(used, images),
                  quantile(used, images, .05)]
    found["five intervals, s"] = time.process_time() - started
    found["five intervals, peak MiB"] = tracemalloc.get_traced_memory()[1] / 2**20
    found["answer"] = [list(map(float, pair)) for pair in answer]
print(json.dumps(found))
"""


def sample(number: int, per_image: int) -> dict[str, object]:
    """One sample of the file format that both sides read."""
    return {
        "sample_id": f"sample-{number}", "tier": "medium",
        "tier_range": {"min_crops": 4, "max_crops": 8}, "selected_crops": 6,
        "selected_tiling": [2, 3], "aspect_ratio_mismatch": 0.0652 + number * 1e-9,
        "selected_vision_tokens": 1008, "actual_vision_tokens": 984, "llm_vision_tokens": 704,
        "original_image_size": [640, 480], "original_aspect_ratio": 4 / 3,
        "target_resolution": [448, 672], "target_aspect_ratio": 1.5, "resize_to_fill": True,
        "content_kept": 0.889, "padding_fraction": 0.0, "top_k": 2, "num_active_blocks": 4,
        "question": f"What does the sign number {number} in the picture say?",
        "prediction": "stop", "answers": ["stop"] * 3, "accuracy": float(number % 2),
        "task": f"task-{number % 3}", "actual_crop_tokens": 864, "chance": None, "latency": None,
        "image_key": f"image-{number // per_image}",
    }  # fmt: skip


def results_file(folder: Path, count: int, per_image: int, root: Path) -> Path:
    """A results file of schema 4, made from the one that a run of the model in the box leaves."""
    means = [
        "selected_crops", "selected_vision_tokens", "actual_vision_tokens", "utilization",
        "aspect_ratio_mismatch", "llm_vision_tokens", "crop_utilization", "content_kept",
        "padding_fraction",
    ]  # fmt: skip
    content = {
        "schema_version": 4, "tier": "medium", "tier_range": {"min_crops": 4, "max_crops": 8},
        "selected_crops_distribution": {"6": count}, **{f"{name}_mean": 1.0 for name in means},
        **{f"{name}_std": 0.0 for name in means if name in (
            "selected_crops", "selected_vision_tokens", "aspect_ratio_mismatch")},
        "aspect_ratio_mismatch_p95": 0.1, "top_k": 2, "num_active_blocks": 4, "accuracy": 0.5,
        "accuracy_std": 0.5, "accuracy_ci95": [0.4, 0.6], "chance": None, "num_samples": count,
        "num_failed": 0, "resize_to_fill": True, "dataset": "made", "model": "none",
        "score": "exact_match", "accuracy_by_task": {}, "mme": None, "samples_per_second": 1.0,
        "latency": None, "validation": [], "failures": [],
        "per_sample_results": [sample(number, per_image) for number in range(count)],
        "provenance": {
            "config": {"where": str(root)}, "git_commit": None, "git_dirty": None, "versions": {},
            "seed": 0, "device": "cpu", "inputs": {}, "halved_batches": 0,
        },
    }  # fmt: skip
    path = folder / "made_tier-medium_crops6_topk2_blocks4.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


def measured(root: Path, *arguments: object) -> dict[str, Any]:
    """What one side measures, in a process of its own with one thread."""
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEASURE, *map(str, arguments)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, cwd=root
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, required=True, metavar="DIR")
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--per-image", type=int, default=5)
    given = parser.parse_args()
    here = Path(__file__).resolve().parents[1]
    with TemporaryDirectory() as folder:
        file = results_file(Path(folder), given.samples, given.per_image, here)
        rows: dict[str, list[float]] = {}
        answers = []
        for what in ("files", "intervals"):
            for root in (checkout(given.before), here):
                found = measured(root, what, file, given.samples, given.per_image)
                if "answer" in found:
                    answers.append(np.array(found.pop("answer")))
                for name, value in found.items():
                    rows.setdefault(name, []).append(value)
    print(f"{given.samples} samples, {given.per_image} of an image")
    print("| | 44dde4c | now | ratio |\n|---|---|---|---|")
    for name, (before, now) in rows.items():
        print(f"| {name} | {before:.3f} | {now:.3f} | {before / now:.1f} |")
    print(f"largest difference of intervals: {np.abs(answers[0] - answers[1]).max():.1e}")


if __name__ == "__main__":
    main()
