"""Time and memory of everything but the model, as a data set grows to the size of VQA v2.

Run `python benchmarks/scale.py [--sizes 1000,10000] [--before DIR] [--report]`. The data set has
VQA v2's shape: five questions or so about each image (214,354 about 40,504), ten answers each; the
images are a few hundred small photographs' worth of noise, under as many names as there are
images. The model is a stub that answers at once. Each run is a process of its own: its seconds from
enter to result, its peak memory, and how both grow from size to size. `--before` runs an older
commit, checked out there, on the same data; `--report` makes the page about seven such runs of the
largest size.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from older_commit import checkout
from PIL import Image

from tierexp.results.columns import stored_samples, write_columns
from tierexp.results.files import load_results, write_results

HERE = Path(__file__).resolve().parent.parent
PICTURES, QUESTIONS_AN_IMAGE = 300, 214_354 / 40_504
RUNS = 7

STUB = """
import runpy
import sys
import torch
try:
    from tierexp.models.molmo.engine import MolmoEngine
except ImportError:  # older commits
    from tierexp.models.molmo.model import Molmo as MolmoEngine

def generate(self, inputs, max_new_tokens, **wanted):
    config = getattr(self, "network", self).config
    rows, vocabulary = len(inputs.input_ids), config.decoder.vocab_size
    token = torch.full((rows,), self.end_of_text_id)
    observer = wanted.get("observer")
    if hasattr(observer, "chosen"):
        observer.chosen(torch.zeros(rows, vocabulary), token, None)
    return token[:, None]

MolmoEngine.generate = generate
if __name__ == "__main__":  # workers that are started anew import this file, too
    tree = sys.argv.pop(1)
    sys.path.insert(0, tree)
    runpy.run_path(f"{tree}/eval.py", run_name="__main__")
"""


@dataclass(frozen=True)
class Spent:
    """What a process took.

    Args:
        seconds: From enter to its end.
        processor: Seconds of processors, its worker processes' included.
        peak: Bytes of memory, of the process itself.
    """

    seconds: float
    processor: float
    peak: int

    def __str__(self) -> str:
        times = f"{self.seconds:7.1f} s, processor {self.processor:7.1f} s"
        return f"{times}, {self.peak / 1e6:6.0f} MB"


def spent_by(command: Sequence[str], tree: Path, log: Path) -> Spent:
    """Run a command in a tree, with what it imports taken from there."""
    # What is left of the model is too small to share: threads that wait would only spin.
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        pid = os.posix_spawn(
            command[0], command, environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, file.fileno(), 1), (os.POSIX_SPAWN_DUP2, file.fileno(), 2)
            ],
        )  # fmt: skip
        _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text(encoding='utf-8')[-3000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    processor = usage.ru_utime + usage.ru_stime
    return Spent(time.perf_counter() - start, processor, unit * usage.ru_maxrss)


def make_pictures(folder: Path) -> list[Path]:
    """Small JPEGs of a few shapes."""
    folder.mkdir(parents=True)
    random, files = np.random.default_rng(0), []
    for number in range(PICTURES):
        height, width = ((120, 160), (160, 120), (120, 120), (100, 180))[number % 4]
        pixels = random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        files.append(folder / f"{number}.jpg")
        Image.fromarray(pixels).resize((width, height)).save(files[-1], quality=80)
    return files


def make_questions(folder: Path, size: int) -> Path:
    """JSON lines of so many questions, next to their images."""
    pictures = make_pictures(folder / "pictures")
    images = [folder / f"image_{n:06}.jpg" for n in range(-int(-size // QUESTIONS_AN_IMAGE))]
    for number, image in enumerate(images):
        image.hardlink_to(pictures[number % PICTURES])
    answers = ["yes"] * 7 + ["no"] * 2 + ["maybe"]
    path = folder / "questions.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(size):
            image = images[int(number / QUESTIONS_AN_IMAGE)].name
            entry = {"id": str(number), "image": image, "answers": answers,
                     "question": f"What does man number {number} do with his hat?"}  # fmt: skip
            file.write(json.dumps(entry) + "\n")
    return path


def evaluated(tree: Path, questions: Path, output: Path, workers: int) -> Spent:
    """One run with the stub."""
    script = questions.parent / "stub.py"
    script.write_text(STUB, encoding="utf-8")
    command = [
        sys.executable, str(script), str(tree), "tier=low", "data=folder", f"data.path={questions}",
        "data.score=vqa", "data.batch_size=32", f"data.num_workers={workers}", "logger=none",
        "trainer=cpu", f"output_dir={output}",
    ]  # fmt: skip
    return spent_by(command, tree, questions.parent / "log.txt")


def reported(tree: Path, output: Path) -> Spent:
    """The page about seven runs: the same one under seven names."""
    (file,) = output.glob("*.json")
    results = load_results(file)
    sweep = output.parent / "sweep"
    for number in range(RUNS):
        run = sweep / str(number)
        run.mkdir(parents=True)
        again = dataclasses.replace(results, tier=f"tier{number}")
        write_results(again, run / file.name)
        if stored_samples(file) is not None:
            write_columns(run / file.name)
    del results, again
    command = [sys.executable, str(tree / "report.py"), str(sweep)]
    return spent_by(command, tree, output.parent / "report.txt")


def main() -> None:
    """Print a line a size and tree."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="1000,4000")
    parser.add_argument("--before", type=Path, help="folder of an older commit, checked out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    trees = {"before": arguments.before and checkout(arguments.before), "today": HERE}
    for size in map(int, arguments.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            questions = make_questions(Path(folder, "data"), size)
            for name, tree in trees.items():
                if tree is None:
                    continue
                output = Path(folder, name)
                spent = evaluated(tree, questions, output, arguments.workers)
                print(f"{size:7} questions, {name:6}: {spent}", flush=True)
            if arguments.report:
                spent = reported(HERE, Path(folder, "today"))
                print(f"{size:7} questions, report of {RUNS} runs: {spent}", flush=True)


if __name__ == "__main__":
    main()
