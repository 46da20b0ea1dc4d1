"""`transformers serve` with an Idefics3 of random weights, on the loopback interface."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import ARGUMENTS, TESTS, run_eval
from tests.support.random_checkpoints import idefics3
from tierexp.models.plans.registry import preset
from tierexp.models.served.client import ChatClient
from tierexp.models.served.probe import Probe
from tierexp.results.files import load_results

pytestmark = pytest.mark.slow
"""`test_evaluation` asks a server that imports no PyTorch the same."""

START_SECONDS = 180


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address, and what the server calls the model."""
    folder = tmp_path_factory.mktemp("served") / "idefics3"
    idefics3(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder.parent / "log").open("wb")
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("transformers")), "serve", str(folder),
            "--host", "127.0.0.1", "--port", str(port),
        ],
        stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    try:
        _wait(process, port, folder.parent / "log")
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < START_SECONDS:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def test_what_the_probe_finds(server: tuple[str, str]) -> None:
    """What this version does was read off it by hand: counts, no log-probabilities, no sampling;
    settings reach the processor by `chat_template_kwargs` alone.
    """
    client = ChatClient(server[0], server[1], timeout=120, max_retries=1)
    found = Probe(client, preset("idefics3"), {}).run()
    assert found.lines == []
    assert (found.counts_tokens, found.streams_counts, found.keeps_limit) == (True, True, True)
    assert (found.log_probabilities, found.temperature_matters, found.repeats) == (
        False, False, True,
    )  # fmt: skip
    planned = {name: (bill.vision_tokens, bill.agrees) for name, bill in found.tiers.items()}
    # 3, 7 and 13 views of 169 tokens.
    assert planned == {"low": (507, True), "medium": (1183, True), "high": (2197, True)}
    one_view = f"{169 * 13 + 31} to {169 + 3} tokens"
    assert found.knobs["chat_template_kwargs.do_image_splitting"] == one_view
    assert found.knobs["chat_template_kwargs.max_pixels"] == "changes nothing"
    assert found.knobs["mm_processor_kwargs.size"] == "refused (422)"


def test_an_evaluation(server: tuple[str, str], tmp_path: Path) -> None:
    samples = [[[480, 640], "what?", ["x"], "read"], [[640, 480], "how many?", ["2"], "count"]]
    (tmp_path / "samples.json").write_text(json.dumps(samples))
    outcome = run_eval(
        "--config-dir", str(TESTS / "conf"), "data=plain", f"data.path={tmp_path / 'samples.json'}",
        "model=openai", f"model.base_url={server[0]}", f"model.name={server[1]}",
        "model.family=idefics3", "model.timeout=120", "tier=low", "latency=on",
        "latency.repeats=1", "latency.warmup=0", f"output_dir={tmp_path / 'out'}", *ARGUMENTS,
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    (path,) = (tmp_path / "out").glob("*_tier-*.json")
    results = load_results(path)
    assert results.num_samples == 2
    for sample in results.per_sample_results:
        assert sample.metrics["llm_vision_tokens"] == 507
        # A mark before and a name for each of three views, a mark at the end, a line break, and
        # one after every row.
        assert sample.metrics["billed_tokens"] == 507 + 2 * 3 + 1 + 1 + sample.selected_tiling[0]
        assert sample.latency is not None
        assert sample.latency.new_tokens == 16
        assert 0 < sample.latency.T_LLM_prefill < sample.latency.T_total
    assert results.latency is not None
    assert "T_vision_total" not in results.latency.stages
