"""A user's mistake is one line that names key, value and what is allowed, and exit code 2, before
any model is loaded."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from tests.support.command_line import TESTS, assert_refused, run_eval, run_on_fakes
from tests.support.fakes import DEFECT
from tierexp.cli.launch import launch
from tierexp.config.arguments import as_value, expand_home, spell_out_token_targets
from tierexp.errors import ConfigError

ROOT = TESTS.parent
SAMPLES = [[[480, 640], "which?", ["this"], "read"]]
TABLE = {"which?": "this"}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("tier=foo", ["tier='foo'", "low, medium", "fixed_1440", "native"]),
        ("tiers=low", ["tiers='low'", "no such key", "did you mean tier?"]),
        ("seeds=1", ["seeds=1", "no such key", "output_dir", "did you mean seed?"]),
        ("tier.min_crop=5", ["tier.min_crop=5", "the keys of tier", "did you mean min_crops?"]),
        ("+tier.minimum=5", ["tier.minimum=5", "the keys of tier", "max_crops"]),
        ("hydra.job.nam=x", ["hydra.job.nam='x'", "did you mean name?"]),
        ("seed.x=1", ["seed.x=1", "seed has no keys"]),
        ("tier.preferred_crops=[4,6", ["'tier.preferred_crops=[4,6'", "KEY=VALUE"]),
        ("tier.preferred_crops=[4,9]", ["tier.preferred_crops=9", "4 to 8"]),
        ("threshold.value=-0.1", ["threshold.value=-0.1", ">= 0"]),
        ("data.path=nowhere.json", ["data.path='nowhere.json'", "existing"]),
        ("threshold.value=soon", ["threshold.value='soon'", ">= 0"]),
        ("+trainer.limit_test_batches=0", ["trainer.limit_test_batches=0", "data.max_samples"]),
        ("trainer.accelerator=abacus", ["trainer", "abacus"]),
        ("logger.mode=on", ["logger.mode='on'", "auto, online, offline, shared, disabled"]),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert_refused(run_on_fakes(tmp_path, SAMPLES, TABLE, "trainer=cpu", override), words)
    assert not (tmp_path / "loaded").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{broken", ["line 2", "JSON"]),
        ('{"id": "b", "image": "no.png", "question": "?", "answers": ["a"]}', ["line 2", "no.png"]),
    ],
)
def test_a_broken_data_file_names_its_line(tmp_path: Path, line: str, words: list[str]) -> None:
    (tmp_path / "a.png").touch()
    good = '{"id": "a", "image": "a.png", "question": "?", "answers": ["a"]}'
    path = tmp_path / "data.jsonl"
    path.write_text(f"{good}\n{line}\n")
    folder = ["data=folder", f"data.path={path}"]
    outcome = run_eval(*folder, f"output_dir={tmp_path / 'out'}")
    assert_refused(outcome, ["data.jsonl", *words])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data=folder", "data.path=null"], ["data.path=None", "text"]),
        (["data=folder", "data.path=5"], ["data.path=5", "text"]),
        (
            ["data=folder", "data.path=x", "data.score=mme"],
            ["data.score='mme'", "exact_match, vqa"],
        ),
        (["data.split=[test]"], ["data.split=['test']", "train, validation, test"]),
        (
            ["data=folder", "data.split=test"],
            ["data.split='test'", "no such key", "on_error, path"],
        ),
        (["data.max_samples=0"], ["data.max_samples=0", ">= 1, or null"]),
        (["model.checkpoint=5"], ["model.checkpoint=5", "text"]),
        (["model.checkpoint=/nowhere"], ["model.checkpoint='/nowhere'", "Molmo"]),
        (["model.top_k=9"], ["model.top_k=9", "from 1 to 8"]),
        (["seed=-1"], ["seed=-1", "from 0"]),
    ],
)
def test_settings_of_real_data_and_models_are_checked(
    tmp_path: Path, overrides: list[str], words: list[str]
) -> None:
    assert_refused(run_eval(*overrides, f"output_dir={tmp_path}"), words)


def test_a_key_without_a_value_is_refused() -> None:
    assert_refused(run_eval("data.batch_size"), ["'data.batch_size'", "KEY=VALUE"])


def test_an_empty_data_set_is_refused(tmp_path: Path) -> None:
    assert_refused(run_on_fakes(tmp_path, [], TABLE), ["plain_images", "no samples"])


@pytest.mark.whole
def test_a_multirun_is_refused_before_its_first_run(tmp_path: Path) -> None:
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, "-m", "tier=low,foo")
    assert outcome.code == 2
    assert "tier='foo'" in outcome.err
    assert not (tmp_path / "loaded").exists()


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a defect"):
        run_on_fakes(tmp_path, SAMPLES, {"which?": DEFECT}, "logger=none")


def test_a_configuration_error_inside_a_task_is_a_defect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def task(config: DictConfig, output_dir: Path) -> object:
        return config.tier.misspelt_by_the_programmer

    monkeypatch.setattr(sys, "argv", ["eval.py", f"output_dir={tmp_path}"])
    with pytest.raises(Exception, match="misspelt_by_the_programmer"):
        launch(task, "eval")


def test_a_task_gets_the_output_folder_and_ctrl_c_is_130(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []

    def task(config: DictConfig, output_dir: Path) -> None:
        folders.append(output_dir)
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["eval.py", f"output_dir={tmp_path / 'here'}"])
    with pytest.raises(SystemExit) as end:
        launch(task, "eval")
    assert end.value.code == 130
    assert folders == [tmp_path / "here"]
    assert capsys.readouterr().err == "interrupted\n"


def test_overrides_may_stand_on_both_sides_of_an_option() -> None:
    outcome = run_eval("tier=low", "--cfg", "job", "seed=7")
    assert outcome.code == 0
    assert "name: low" in outcome.out
    assert "seed: 7" in outcome.out


def test_help_explains_every_option_of_every_group() -> None:
    outcome = run_eval("--help")
    assert outcome.code == 0
    assert max(len(line) for line in outcome.out.splitlines()) <= 80
    defaults = (ROOT / "conf" / "eval.yaml").read_text()
    assert "train.py" not in outcome.out.partition("experiment:")[2].partition("keys")[0]
    for group in ("tier", "threshold", "resize", "model", "data", "trainer", "logger"):
        assert f"\n{group}: " in outcome.out
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            # On a line of its own or in a list of names.
            named = rf"^  (?:[a-z0-9_]+, )*{path.stem}(?:,|$| (\*?))"
            marked = re.search(named, outcome.out, re.MULTILINE)
            assert marked, f"{group}={path.stem} is not explained"
            assert bool(marked[1]) == (f"- {group}: {path.stem} " in defaults)
            first = path.read_text().removeprefix("# ").split()[0]
            assert first in outcome.out[marked.end() :].partition("\n")[0]


def test_help_shows_what_a_users_own_folder_adds(tmp_path: Path) -> None:
    (tmp_path / "tier").mkdir()
    (tmp_path / "tier" / "mine.yaml").write_text("# Four crops, always.\nname: mine\n")
    outcome = run_eval("--config-dir", str(tmp_path), "--help")
    assert "\n  mine             Four crops, always\n" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tier", "low"], ["--tier", ": tier=low"]),
        (["--tier=low"], ["--tier", ": tier=low"]),
        (["--limit", "5"], ["data.max_samples=5"]),
        (["--max-samples", "5"], ["data.max_samples=5"]),
        (["--batch_size", "5", "tier=low"], ["data.batch_size=5"]),
        (["--confg-dir", "my"], ["did you mean --config-dir?"]),
        (["--frobnicate"], ["KEY=VALUE", "--help"]),
    ],
)
def test_an_option_of_another_program_says_what_is_meant(
    arguments: list[str], words: list[str]
) -> None:
    assert_refused(run_eval(*arguments), words)


def test_a_home_folder_needs_no_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/a b (c)")
    home = "'/home/a b (c)'"
    assert expand_home("model.checkpoint=~/x") == "model.checkpoint='/home/a b (c)/x'"
    assert expand_home("output_dir=~") == f"output_dir={home}"
    assert expand_home("+data.path=~/x,~/y/z") == "+data.path='/home/a b (c)/x','/home/a b (c)/y/z'"
    assert expand_home("data.files=[a,~/x]") == "data.files=[a,'/home/a b (c)/x']"
    monkeypatch.setenv("HOME", "/root")
    assert expand_home("model.checkpoint=~/x") == "model.checkpoint=/root/x"
    for kept in (
        "~data.batch_size",
        "data.path=a~b",
        "data.path='~/x'",
        "--config-dir",
        "tier=low",
    ):
        assert expand_home(kept) == kept


@pytest.mark.parametrize(
    "targets", ["[432,a]", "432,720", "432", "[]", "", "[432] tier=low", "[1e3]"]
)
def test_token_targets_are_a_list_of_numbers(targets: str) -> None:
    value, *beside = targets.split(" ")
    with pytest.raises(ConfigError, match="vision_tokens_list"):
        spell_out_token_targets([f"vision_tokens_list={value}", *beside])


def test_token_targets_are_a_multirun_of_the_fixed_tier() -> None:
    assert spell_out_token_targets(["vision_tokens_list=[432,1152]", "-m", "seed=1"]) == [
        "--multirun", "tier=fixed", "tier.vision_tokens=432,1152", "seed=1",
    ]  # fmt: skip


@pytest.mark.whole
def test_composing_imports_nothing_heavy() -> None:
    script = (
        "import runpy, sys\n"
        "sys.argv = ['eval.py', 'tier=high', '--cfg', 'job']\n"
        "runpy.run_path('eval.py', run_name='__main__')\n"
        "heavy = {'torch', 'lightning', 'wandb', 'torchmetrics'} & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "name: high" in done.stdout


@pytest.mark.whole
def test_a_mistake_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "eval.py", "threshold.value=-1", f"output_dir={tmp_path}"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "error: threshold.value=-1 is not possible: a finite number >= 0, or null for no limit\n"
    )
    assert done.stdout == ""


@pytest.mark.parametrize("folder", ["/a/b c", "/a/é", "/a/x (1), y=[z]", "/a/it's", "/a/3.5"])
def test_the_command_that_goes_on_names_its_folder_as_hydra_reads_it(folder: str) -> None:
    written = f"output_dir={as_value(folder)}"
    assert OverridesParser.create().parse_override(written).value() == folder
