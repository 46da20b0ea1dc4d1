"""Files that somebody else may have made run no code and name no file elsewhere: each attack is
tried, and nothing comes of it but a line."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tests.support.command_line import TESTS, Outcome, run_command, run_on_fakes
from tests.support.small_recipe import SMALL
from tierexp.config.location import config_dir
from tierexp.data.folder import FolderDataset
from tierexp.data.hub import HubDataset
from tierexp.errors import CheckpointError, ConfigError, DataError, TierexpError
from tierexp.models.checkpoint_files import weight_files
from tierexp.models.molmo.checkpoint import MolmoCheckpoint
from tierexp.report.page import write_report
from tierexp.results.files import load_results
from tierexp.training.run import train

ROOT = TESTS.parent
TINY = ROOT / "src" / "tierexp" / "assets" / "tiny"


class Payload:
    """Makes a folder where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self._marker),)


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    """Appears when a payload runs; it does where pickles are read."""
    test = tmp_path / "ran-in-this-test"
    pickle.loads(pickle.dumps(Payload(test)))
    assert test.is_dir()
    path = tmp_path / "ran"
    yield path
    assert not path.exists()


def pickled(marker: Path, kind: str, file: Path) -> None:
    payload = {"state_dict": Payload(marker), "epoch": 0}
    if kind == "torch":
        torch.save(payload, file)
    else:
        file.write_bytes(pickle.dumps(payload))


@pytest.mark.parametrize("kind", ["plain", "torch"])
def test_a_pickle_called_safetensors(tmp_path: Path, marker: Path, kind: str) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(TINY, folder)
    pickled(marker, kind, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="is damaged"):
        MolmoCheckpoint(str(folder)).load(torch.device("cpu"))


def test_a_checkpoint_of_pickles(tmp_path: Path, marker: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(TINY, folder)
    (folder / "model.safetensors").unlink()
    pickled(marker, "torch", folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="has neither"):
        MolmoCheckpoint(str(folder)).load(torch.device("cpu"))


def test_a_configuration_that_names_code(tmp_path: Path, marker: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(TINY, folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling_evil.Evil"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling_evil.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    MolmoCheckpoint(str(folder)).load(torch.device("cpu"))


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["plain", "torch"])
def test_a_training_state_with_a_payload(tmp_path: Path, marker: Path, kind: str) -> None:
    folder = tmp_path / "run"
    (folder / "training_states").mkdir(parents=True)
    pickled(marker, kind, folder / "training_states" / "last.ckpt")
    outcome: Outcome = run_command(train, "train", *SMALL, f"output_dir={folder}", "resume=true")
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert "last.ckpt holds more than a training state" in outcome.err


COLUMNS = {"question": "question", "answers": "answers", "image": "image"}


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of one row as `save_to_disk` leaves it."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    rows = [{"question": "?", "answers": "a", "image": str(tmp_path / "a.png")}]
    table = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    table.save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def test_a_saved_data_set_that_is_a_pickle(saved: Path, marker: Path) -> None:
    (file,) = saved.glob("*.arrow")
    pickled(marker, "plain", file)
    with pytest.raises(DataError, match="cannot be read"):
        HubDataset(COLUMNS, "test", path=saved)


@pytest.mark.parametrize("suffix", [".arrow", ".parquet"])
def test_a_column_of_a_pickled_type(tmp_path: Path, marker: Path, suffix: str) -> None:
    """Arrow once unpickled the types of columns (CVE-2023-47248)."""
    field = pa.field(
        "question",
        pa.string(),
        metadata={
            "ARROW:extension:name": "arrow.py_extension_type",
            "ARROW:extension:metadata": pickle.dumps(Payload(marker)),
        },
    )
    schema = pa.schema([field, ("answers", pa.string()), ("image", pa.binary())])
    table = pa.table([["?"], ["a"], [b""]], schema=schema)
    file = tmp_path / f"data{suffix}"
    if suffix == ".parquet":
        pq.write_table(table, file)
    else:
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            writer.write_table(table)
    with contextlib.suppress(TierexpError):  # read as plain text or refused, as Arrow likes
        HubDataset(COLUMNS, "test", path=file)


@pytest.mark.parametrize("name", ["../elsewhere/data.arrow", "/etc/passwd", "..", "a/b.arrow", 3])
def test_a_saved_data_set_that_lists_files_elsewhere(saved: Path, name: object) -> None:
    elsewhere = saved.parent / "elsewhere"
    elsewhere.mkdir()
    (file,) = saved.glob("*.arrow")
    shutil.copy(file, elsewhere / "data.arrow")
    assert len(HubDataset(COLUMNS, "test", path=saved)) == 1
    state = json.loads((saved / "state.json").read_text())
    state["_data_files"].append({"filename": name})
    (saved / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match=r"state\.json names .* no file beside it"):
        HubDataset(COLUMNS, "test", path=saved)


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"_data_files": [3]}'])
def test_a_saved_data_set_that_lists_nothing(saved: Path, state: str) -> None:
    (saved / "state.json").write_text(state)
    with pytest.raises(DataError, match=r"state\.json does not list"):
        HubDataset(COLUMNS, "test", path=saved)


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/tmp/model.safetensors", "a/b.safetensors"]
)
def test_an_index_that_names_weights_elsewhere(tmp_path: Path, name: str) -> None:
    shutil.copy(TINY / "model.safetensors", tmp_path)
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    index = json.dumps({"weight_map": {"a": name}})
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(CheckpointError, match=r"no \.safetensors file beside it"):
        weight_files(folder)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a data file, a picture in it, one outside, and links to either."""
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    (tmp_path / "photos-2").mkdir()
    for path in (folder / "in.png", tmp_path / "out.png", tmp_path / "photos-2" / "out.png"):
        Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(path)
    (folder / "below" / "link_in.png").symlink_to(folder / "in.png")
    (folder / "link_out.png").symlink_to(tmp_path / "out.png")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    return folder


def asks_about(folder: Path, image: str) -> Path:
    file = folder / "photos.jsonl"
    file.write_text(json.dumps({"id": "1", "image": image, "question": "?", "answers": ["a"]}))
    return file


@pytest.mark.parametrize(
    "image", ["in.png", "./below/../in.png", "below/link_in.png", "{folder}/in.png"]
)
def test_an_image_in_the_folder_however_it_is_named(photos: Path, image: str) -> None:
    dataset = FolderDataset(asks_about(photos, image.format(folder=photos)))
    assert (dataset.image_size(0), dataset.image_key(0)) == ((3, 4), "in.png")


def test_a_folder_may_be_reached_by_a_link(photos: Path, tmp_path: Path) -> None:
    file = asks_about(photos, "in.png")
    (tmp_path / "link").symlink_to(photos)
    assert FolderDataset(tmp_path / "link" / file.name).image_size(0) == (3, 4)


OUTSIDE = [
    "../out.png", "{folder}/../out.png", "link_out.png", "linked/out.png", "../photos-2/out.png",
    "/etc/hostname", "../nothing-there.png",
]  # fmt: skip


@pytest.mark.parametrize("image", OUTSIDE)
def test_an_image_outside_is_refused_whether_it_exists_or_not(photos: Path, image: str) -> None:
    with pytest.raises(DataError) as caught:
        FolderDataset(asks_about(photos, image.format(folder=photos)))
    assert "lies outside" in str(caught.value)
    assert "data.images_anywhere=true" in str(caught.value)


def test_an_image_outside_is_read_where_that_is_allowed(photos: Path) -> None:
    for image in OUTSIDE[:5]:
        file = asks_about(photos, image.format(folder=photos))
        assert FolderDataset(file, images_anywhere=True).image_size(0) == (3, 4)
    with pytest.raises(DataError, match="does not exist"):
        FolderDataset(asks_about(photos, OUTSIDE[-1]), images_anywhere=True)
    with pytest.raises(ConfigError, match="images_anywhere='yes'"):
        FolderDataset(file, images_anywhere="yes")  # type: ignore[arg-type]


def test_a_link_to_itself_is_no_image(photos: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        FolderDataset(asks_about(photos, "loop.png"))


def make_folder(path: str) -> list[object]:
    """What results could name, were it called."""
    Path(path).mkdir()
    return []


@pytest.mark.whole
@pytest.mark.usefixtures("without_figures")
def test_results_that_name_a_function_are_reported_without_calling_it(
    tmp_path: Path, marker: Path
) -> None:
    samples = [[[480, 640], "which?", ["this"], "read"]]
    outcome = run_on_fakes(tmp_path, samples, {"which?": "this"}, "trainer=cpu", "logger=none")
    assert outcome.code == 0
    (file,) = (tmp_path / "out").glob("*_tier-*.json")
    content = json.loads(file.read_text())
    content["provenance"]["config"]["data"] = {
        "_target_": "tests.cli.test_untrusted_files.make_folder",
        "path": str(marker),
    }
    file.write_text(json.dumps(content))
    write_report(tmp_path / "out")
    assert not marker.exists()


def test_a_results_file_is_data(tmp_path: Path, marker: Path) -> None:
    file = tmp_path / "x_tier-low_crops2_topk2_blocks4.json"
    pickled(marker, "plain", file)
    with pytest.raises(DataError, match="not a results file"):
        load_results(file)


FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads",
    "pickle.Unpickler", "dill.load", "dill.loads", "cloudpickle.load", "cloudpickle.loads",
    "joblib.load", "marshal.load", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "torch.load", "torch.jit.load", "torch.hub.load", "pd.read_pickle",
    "pandas.read_pickle",
}  # fmt: skip
"""Calls that run what a file says."""
UNSAFE = {"allow_pickle": True, "trust_remote_code": True, "weights_only": False, "shell": True}
"""Arguments that make a call one of those."""


@pytest.mark.whole
def test_nothing_here_can_run_what_a_file_says() -> None:
    files = [*(ROOT / "src").rglob("*.py"), *ROOT.glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    assert len(files) > 150
    found = []
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            unsafe = [
                keyword.arg
                for keyword in node.keywords
                if keyword.arg in UNSAFE
                and getattr(keyword.value, "value", UNSAFE[keyword.arg]) == UNSAFE[keyword.arg]
            ]
            if ast.unparse(node.func) in FORBIDDEN or unsafe:
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)[:80]}")
    assert found == []


def test_no_shipped_option_asks_for_remote_code() -> None:
    for path in config_dir().rglob("*.yaml"):
        assert "trust_remote_code" not in path.read_text(encoding="utf-8")
