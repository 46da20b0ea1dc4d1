"""README and docs as a user types them: every command in bash, every Python snippet run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from tierexp.api.composition import composed
from tierexp.config.arguments import own_config_dir, prepare
from tierexp.data.tierqa import TierQA

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = {script.stem for script in ROOT.glob("*.py")}
HYDRA = {path.stem for path in (ROOT / "conf").glob("*.yaml")}
"""Commands whose arguments are overrides."""
SHIM = """#!/bin/sh
printf '%s\\0' "$@" > {record}
"""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        if page.stem == "extending":
            continue  # its commands are run, in tests/extending/test_page.py
        for block in blocks(page, "bash"):
            joined = block.replace("\\\n", " ")
            for line in joined.splitlines():
                if re.match(r"python \w+\.py", line):
                    yield page.name, line


def write_own_tier(folder: Path, name: str) -> None:
    own = folder / "tier" / f"{name}.yaml"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text((ROOT / "conf/tier/medium.yaml").read_text().replace("medium", name))


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like a user's, in which `python` only notes its arguments."""
    write_own_tier(tmp_path / "my", "mine")
    shim = tmp_path / "bin" / "python"
    shim.parent.mkdir()
    shim.write_text(SHIM.format(record=shlex.quote(str(tmp_path / "typed"))))
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.whole
@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_a_command_is_read_by_bash_and_hydra(typed: Path, page: str, line: str) -> None:
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (script, *arguments, _) = (typed / "typed").read_text().split("\0")
    assert Path(script).stem in COMMANDS
    if Path(script).stem not in HYDRA or {"--help", "--cfg"} & {*arguments}:
        return
    own = []
    if (folder := own_config_dir(arguments)) is not None:
        for argument in arguments:
            if argument.startswith("tier="):
                write_own_tier(folder, argument.removeprefix("tier="))  # by an earlier command
        own = [f"hydra.searchpath=['{folder.as_uri()}']"]
    parsed = get_args_parser().parse_args(prepare(arguments))
    overrides = OverridesParser.create().parse_overrides(parsed.overrides)
    several = parsed.multirun or any(o.key_or_group == "experiment" for o in overrides)
    assert several or not any(override.is_sweep_override() for override in overrides)
    for batch in BasicSweeper.split_arguments(overrides, max_batch_size=None):
        for run in batch:
            with composed(Path(script).stem, [*own, *run]):
                pass


class NoServer:
    """W&B's client, of a server without runs."""

    def runs(self, project: str, filters: dict[str, str], order: str) -> list[object]:
        return []


PYTHON = [(page.name, block) for page in PAGES for block in blocks(page, "python")]


@pytest.mark.whole
@pytest.mark.parametrize(("page", "block"), PYTHON, ids=[page for page, _ in PYTHON])
def test_a_python_snippet_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, block: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wandb.Api", NoServer)
    Image.fromarray(TierQA("test", 7).image(0)).save("photo.jpg")
    if "outputs/tiers" in block:
        from tierexp import evaluate

        for tier in ("low", "medium"):
            evaluate(
                "data.max_samples=7", "logger=none", tier=tier, output_dir=f"outputs/tiers/{tier}"
            )
    exec(compile(block, page, "exec"), {"__name__": "__main__"})


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 140


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), link
