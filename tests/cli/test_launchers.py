"""Runs in processes of their own give what runs in one process give, and end the command as those
would: joblib, Ray on a cluster of this machine, submitit with and without SLURM."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from tests.support.command_line import TESTS, run_command, run_eval, run_on_fakes
from tests.support.fakes import CTRL_C, DEFECT, TableModel
from tests.support.launched_tasks import die, end, note_process
from tierexp.cli import multirun
from tierexp.cli.multirun import RunError
from tierexp.config.location import config_dir

LANDSCAPE, SQUARE = [480, 640], [512, 512]
SAMPLES = [[LANDSCAPE, "q0", ["a"], "read"], [SQUARE, "q1", ["a"], "read"]]
TABLE = {"q0": "a", "q1": "b"}
TIERS = ("-m", "tier=low,medium")
JOBLIB = (*TIERS, "hydra/launcher=joblib", "logger=none", "trainer=cpu")
MODEL_FREE = (*TIERS, "model=none", "data.max_samples=4")


@pytest.fixture(autouse=True)
def importable_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS.parent), before]).strip(":"))


def figures(folder: Path) -> dict[str, Any]:
    """The results below a folder by run, without what time and place change."""
    found = {}
    for file in folder.glob("*/*_tier-*.json"):
        content = json.loads(file.read_text())
        for name in ("provenance", "samples_per_second", "images_per_second"):
            content.pop(name, None)
        found[file.parent.name] = content
    return found


def processes(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*/process.json"))]


def assert_nothing_left_behind(folder: Path) -> None:
    assert not list(folder.glob(".outcomes*"))


@pytest.mark.whole
def test_other_processes_give_the_same_figures(tmp_path: Path) -> None:
    """Of runs without a model, which take no processes that load PyTorch."""
    elsewhere = run_eval(*MODEL_FREE, "hydra/launcher=joblib", f"output_dir={tmp_path / 'out'}")
    assert (elsewhere.code, elsewhere.err) == (0, "")
    plain = run_eval(*MODEL_FREE, f"output_dir={tmp_path / 'plain'}")
    assert len(figures(tmp_path / "out")) == 2
    assert figures(tmp_path / "out") == figures(tmp_path / "plain")
    assert elsewhere.out.count("comparison ") == plain.out.count("comparison ")
    compared, expected = (
        json.loads((tmp_path / folder / "comparison.json").read_text())
        for folder in ("out", "plain")
    )
    assert [run["tier"] for run in compared["runs"]] == ["low", "medium"]
    assert compared["validation"] == expected["validation"]
    assert_nothing_left_behind(tmp_path / "out")
    files = {file: file.read_bytes() for file in (tmp_path / "out").glob("*/*_tier-*.json")}
    again = run_eval(
        *MODEL_FREE, "hydra/launcher=joblib", f"output_dir={tmp_path / 'out'}", "resume=true"
    )
    assert (again.code, again.err) == (0, "")
    assert all(file.read_bytes() == before for file, before in files.items())


ENDINGS = [
    ("mistake", 2, "error: seed=1 is not possible: 2\n"),
    ("machine", 1, "error: the machine is too small\n"),
    ("code", 3, ""),
    ("interrupt", 130, "interrupted\n"),
]


def assert_ends(launcher: str, ending: tuple[str, int, str], folder: Path) -> None:
    how, code, line = ending
    arguments = ("-m", f"tier.name={how},fine", f"output_dir={folder}")
    outcome = run_command(end, "eval", *arguments, f"hydra/launcher={launcher}")
    assert (outcome.code, outcome.err) == (code, line)
    assert_nothing_left_behind(folder)


@pytest.fixture
def travelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of Hydra's own launcher are copies made by pickle, as those of other processes are."""
    name = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
    launcher: Any = Plugins.instance().class_name_to_class[name]
    launch = launcher.launch

    def launched(self: Any, *arguments: Any, **more: Any) -> Any:
        self.task_function = pickle.loads(pickle.dumps(self.task_function))
        return launch(self, *arguments, **more)

    monkeypatch.setattr(launcher, "launch", launched)
    monkeypatch.setattr(multirun, "end_with", lambda _: None)  # which is this process itself


@pytest.mark.whole
@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending[0])
def test_a_run_ends_the_command(ending: tuple[str, int, str], tmp_path: Path) -> None:
    assert_ends("basic", ending, tmp_path)


@pytest.mark.whole
@pytest.mark.usefixtures("travelled")
@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending[0])
def test_a_copy_of_it_ends_the_command_as_well(
    ending: tuple[str, int, str], tmp_path: Path
) -> None:
    assert_ends("basic", ending, tmp_path)


@pytest.mark.whole
@pytest.mark.usefixtures("travelled")
def test_a_defect_of_a_copy_keeps_its_traceback(tmp_path: Path) -> None:
    arguments = ("-m", "tier.name=defect,fine", f"output_dir={tmp_path}")
    with pytest.raises(RunError, match=r"launched_tasks.py(.|\n)*RuntimeError: a defect"):
        run_command(end, "eval", *arguments)


@pytest.mark.whole
@pytest.mark.parametrize("ending", [ENDINGS[0], ENDINGS[-1]], ids=lambda ending: ending[0])
def test_a_run_elsewhere_ends_the_command_as_here(
    ending: tuple[str, int, str], tmp_path: Path
) -> None:
    assert_ends("joblib", ending, tmp_path)


@pytest.mark.whole
def test_a_defect_elsewhere_keeps_its_traceback(tmp_path: Path) -> None:
    arguments = ("-m", "tier.name=defect,fine", "hydra/launcher=joblib", f"output_dir={tmp_path}")
    with pytest.raises(RunError, match=r"launched_tasks.py(.|\n)*RuntimeError: a defect"):
        run_command(end, "eval", *arguments)


# With a model, whose processes load PyTorch.


@pytest.mark.slow
def test_other_processes_give_the_same_numbers_and_one_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = (*TIERS, "logger=none", "trainer=cpu", "data.num_workers=0")
    plain = run_on_fakes(tmp_path, SAMPLES, TABLE, *sweep, f"output_dir={tmp_path / 'plain'}")
    assert (plain.code, plain.err) == (0, "")
    with monkeypatch.context() as patched:
        # Nothing is answered in this process.
        patched.setattr(TableModel, "generate", None)
        # With data workers, which each of joblib's processes starts.
        elsewhere = ("hydra/launcher=joblib", "data.num_workers=1")
        outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *sweep[:-1], *elsewhere)
    assert (outcome.code, outcome.err) == (0, "")
    assert figures(tmp_path / "out") == figures(tmp_path / "plain")
    assert list(figures(tmp_path / "out")) != []
    assert outcome.out.count("comparison ") == plain.out.count("comparison ")
    compared, expected = (
        json.loads((tmp_path / folder / "comparison.json").read_text())
        for folder in ("out", "plain")
    )
    assert [run["tier"] for run in compared["runs"]] == ["low", "medium"]
    assert compared["validation"] == expected["validation"] != []
    assert_nothing_left_behind(tmp_path / "out")

    def speeds() -> list[float]:
        files = sorted((tmp_path / "out").glob("*/*_tier-*.json"))
        return [json.loads(file.read_text())["samples_per_second"] for file in files]

    before = speeds()
    again = run_on_fakes(tmp_path, SAMPLES, TABLE, *sweep, "hydra/launcher=joblib", "resume=true")
    assert (again.code, again.err) == (0, "")
    assert speeds() == before  # nothing was answered again


@pytest.mark.slow
def test_a_strict_multirun_is_strict_elsewhere_too(tmp_path: Path) -> None:
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *JOBLIB, "validate.strict=true")
    assert outcome.code == 3
    assert "mismatch_p95 (low)" in outcome.err


@pytest.mark.slow
def test_a_mistake_elsewhere_is_one_line(tmp_path: Path) -> None:
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, *JOBLIB, "data.path=nowhere.json")
    assert outcome.code == 2
    assert outcome.err == (
        "error: data.path='nowhere.json' is not possible: an existing JSON file\n"
    )
    assert_nothing_left_behind(tmp_path / "out")


@pytest.mark.whole
def test_a_mistake_in_one_run_ends_the_sweep_before_its_first(tmp_path: Path) -> None:
    outcome = run_on_fakes(
        tmp_path, SAMPLES, TABLE, *JOBLIB[2:], "-m", "tier=low", "threshold.value=0.3,-1"
    )
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "threshold.value=-1" in outcome.err
    assert list(figures(tmp_path / "out")) == []


@pytest.mark.slow
def test_a_run_without_any_sample_ends_the_command(tmp_path: Path) -> None:
    outcome = run_on_fakes(tmp_path, [[[0, 1], "q0", ["a"], "read"]], TABLE, *JOBLIB)
    assert outcome.code == 1
    assert outcome.err.startswith("error: all 1 samples failed, the first, s0")
    assert outcome.err.count("\n") == 1


@pytest.mark.slow
def test_a_defect_of_an_evaluation_elsewhere_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"fakes.py(.|\n)*RuntimeError: a defect"):
        run_on_fakes(tmp_path, SAMPLES, TABLE | {"q1": DEFECT}, *JOBLIB)


@pytest.mark.slow
def test_ctrl_c_elsewhere_is_130(tmp_path: Path) -> None:
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE | {"q1": CTRL_C}, *JOBLIB)
    assert (outcome.code, outcome.err) == (130, "interrupted\n")


@pytest.mark.whole
def test_joblib_shares_the_cores_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    outcome = run_command(note_process, "eval", *JOBLIB, f"output_dir={tmp_path}")
    assert (outcome.code, outcome.err) == (0, "")
    noted = processes(tmp_path)
    cores = len(os.sched_getaffinity(0))
    assert [int(run["threads"]) for run in noted] == [max(cores // 2, 1)] * 2
    assert os.getpid() not in {run["pid"] for run in noted}


@pytest.mark.whole
def test_a_killed_worker_is_one_line(tmp_path: Path) -> None:
    outcome = run_command(
        die, "eval", *TIERS, "hydra/launcher=joblib", f"output_dir={tmp_path / 'killed'}"
    )
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert outcome.err.startswith("error: a process that this one had started was killed")


@pytest.mark.whole
def test_ray_on_a_cluster_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray  # which takes long, and no other test needs

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    ray.init(num_cpus=2, include_dashboard=False, logging_level="warning", log_to_driver=False)
    try:
        launched = ("hydra/launcher=ray", *TIERS)
        noting = run_command(note_process, "eval", *launched, f"output_dir={tmp_path / 'noted'}")
        outcome = run_eval(*MODEL_FREE, "hydra/launcher=ray", f"output_dir={tmp_path / 'ray'}")
        refused = run_eval(
            *MODEL_FREE, "hydra/launcher=ray", "threshold.value=-1", f"output_dir={tmp_path / 'no'}"
        )
    finally:
        ray.shutdown()
    assert (noting.code, noting.err) == (0, "")
    assert [run["threads"] for run in processes(tmp_path / "noted")] == ["1", "1"]
    assert (outcome.code, outcome.err) == (0, "")
    run_eval(*MODEL_FREE, f"output_dir={tmp_path / 'plain'}")
    assert len(figures(tmp_path / "ray")) == 2
    assert figures(tmp_path / "ray") == figures(tmp_path / "plain")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert "threshold.value=-1" in refused.err


@pytest.mark.whole
def test_submitit_without_a_cluster(tmp_path: Path) -> None:
    local = (*MODEL_FREE, "hydra/launcher=submitit_local")
    outcome = run_eval(*local, f"output_dir={tmp_path / 'local'}")
    assert (outcome.code, outcome.err) == (0, "")
    run_eval(*MODEL_FREE, f"output_dir={tmp_path / 'plain'}")
    assert len(figures(tmp_path / "local")) == 2
    assert figures(tmp_path / "local") == figures(tmp_path / "plain")
    refused = run_eval(*local, "threshold.value=-1", f"output_dir={tmp_path / 'no'}")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert_nothing_left_behind(tmp_path / "no")


@pytest.mark.whole
def test_what_is_submitted_to_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs, script = tmp_path / "bin", tmp_path / "submitted.sh"
    programs.mkdir()
    # As on a login node, but for a queue that takes nothing.
    refuse = f'cp "$1" {script}; echo "sbatch: error: invalid partition" >&2; exit 1'
    for name, line in {"srun": "exit 0", "sbatch": refuse}.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    outcome = run_eval(
        *MODEL_FREE, "hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu",
        "hydra.launcher.cpus_per_task=6", f"output_dir={tmp_path / 'out'}",
    )  # fmt: skip
    assert outcome.code == 2
    line = "error: SLURM did not take the runs: sbatch: error: invalid partition"
    assert outcome.err.splitlines()[-1] == line
    lines = set(script.read_text().splitlines())
    assert {
        "#SBATCH --array=0-1%2", "#SBATCH --cpus-per-task=6", "#SBATCH --gpus-per-node=1",
        "#SBATCH --mem=32GB", "#SBATCH --nodes=1", "#SBATCH --ntasks-per-node=1",
        "#SBATCH --partition=gpu", "#SBATCH --time=60", "export OMP_NUM_THREADS=6",
    } <= lines  # fmt: skip


@pytest.mark.whole
def test_slurm_needs_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    outcome = run_eval(*MODEL_FREE, "hydra/launcher=submitit_slurm", f"output_dir={tmp_path}")
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1].startswith("error: hydra/launcher=submitit_slurm needs")
    assert outcome.err.count("error:") == 1


@pytest.mark.whole
@pytest.mark.parametrize(
    ("launcher", "extra"),
    [("joblib", "joblib"), ("submitit_local", "slurm"), ("submitit_slurm", "slurm")],
)
def test_a_launcher_that_is_not_installed(
    launcher: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = OmegaConf.load(config_dir() / "hydra" / "launcher" / f"{launcher}.yaml")
    known = Plugins.instance().class_name_to_class
    monkeypatch.delitem(known, OmegaConf.to_container(config)["_target_"])  # type: ignore[index,call-overload]
    outcome = run_eval(*MODEL_FREE, f"hydra/launcher={launcher}", f"output_dir={tmp_path}")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert f"pip install 'tierexp[{extra}]'" in outcome.err


@pytest.mark.whole
def test_ray_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    outcome = run_eval(*MODEL_FREE, "hydra/launcher=ray", f"output_dir={tmp_path}")
    assert outcome.code == 2
    assert outcome.err == "error: this launcher needs ray: pip install 'tierexp[ray]'\n"


@pytest.mark.parametrize("error", [TypeError, ValueError])
def test_a_defect_of_a_launcher_is_no_mistake_of_the_user(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(self: object, *_: object, **__: object) -> None:
        raise error(f"cannot pickle {self}")

    name = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
    monkeypatch.setattr(Plugins.instance().class_name_to_class[name], "launch", launch)
    with pytest.raises(error, match="cannot pickle"):
        run_command(end, "eval", *TIERS, f"output_dir={tmp_path}")


def test_a_value_that_a_launcher_refuses_is_one_line(tmp_path: Path) -> None:
    joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=0")
    outcome = run_command(end, "eval", *TIERS, *joblib, f"output_dir={tmp_path}")
    assert (outcome.code, outcome.err) == (2, "error: n_jobs == 0 in Parallel has no meaning\n")


@pytest.mark.parametrize("launcher", ["joblib", "ray", "submitit_local", "submitit_slurm"])
def test_an_unknown_key_of_a_launcher(launcher: str, tmp_path: Path) -> None:
    outcome = run_eval(
        *MODEL_FREE, f"hydra/launcher={launcher}", "hydra.launcher.jobs=3", f"output_dir={tmp_path}"
    )
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "hydra.launcher.jobs=3" in outcome.err
