"""Tiers live in YAML only, a group becomes the object its `_target_` names, and what no object
would read is refused."""

from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from tests.support.command_line import FAKES, TESTS
from tierexp import Tier
from tierexp.config.build import build, refuse_unknown_keys, resolved
from tierexp.config.location import config_dir
from tierexp.data.loader_settings import LoaderSettings
from tierexp.errors import ConfigError
from tierexp.evaluation.setup import read_setup
from tierexp.tiers.files import load_tier
from tierexp.tiers.native import NativeRule

ROOT = TESTS.parent
GROUPS = ("tier", "threshold", "resize", "model", "data", "trainer", "logger")
OPTIONS = [path for group in GROUPS for path in sorted((ROOT / "conf" / group).glob("*.yaml"))]


@pytest.mark.parametrize(
    ("name", "crops", "preferred", "tokens"),
    [
        ("low", (1, 3), (2, 3), 432),
        ("medium", (4, 8), (4, 6, 8), 1008),
        ("high", (9, 15), (9, 12, 15), 1872),
        ("fixed_432", (2, 2), (2,), 432),
        ("fixed_720", (4, 4), (4,), 720),
        ("fixed_1008", (6, 6), (6,), 1008),
        ("fixed_1440", (9, 9), (9,), 1440),
    ],
)
def test_tiers_are_those_of_the_design(
    name: str, crops: tuple[int, int], preferred: tuple[int, ...], tokens: int
) -> None:
    tier = load_tier(name)
    assert isinstance(tier, Tier)
    assert (tier.name, tier.min_crops, tier.max_crops) == (name, *crops)
    assert (tier.preferred_crops, tier.typical_vision_tokens) == (preferred, tokens)


def test_the_native_rule_is_an_option_of_the_same_group() -> None:
    assert load_tier("native") == NativeRule("native", 12, "Molmo's own tiling rule")


def test_a_tier_of_ones_own_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "_target_: tierexp.tiers.tier.Tier\nname: mine\nmin_crops: 2\nmax_crops: 5\n"
        "preferred_crops: [5, 4]\ntypical_vision_tokens: 700\n"
    )
    tier = Tier("mine", 2, 5, (5, 4), 700)
    assert load_tier(path) == tier
    assert load_tier(str(path)) == tier


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: mine\n", ["_target_"]),
        ("- 1\n", ["_target_"]),
        ("_target_: tierexp.tiers.tier.Tier\nname: x\n", ["tier.min_crops", "needs a value"]),
        (
            "_target_: tierexp.tiers.native.NativeRule\nmax_crop: 3\n",
            ["tier.max_crop=3", "max_crops?"],
        ),
        ("_target_: tierexp.tiers.native.NativeRule\nmax_crops: 0\n", ["tier.max_crops=0"]),
    ],
)
def test_a_file_that_is_no_tier_is_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_tier(tmp_path / "mine.yaml")
    assert all(word in str(error.value) for word in words), error.value


def test_an_unknown_tier_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"fixed_1008.*high, low, medium, native"):
        load_tier("middle")


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> DictConfig:
    """`conf/eval.yaml` with the fakes, complete but for nothing."""
    folder = tmp_path_factory.mktemp("composed")
    (folder / "samples.json").write_text(json.dumps([[[9, 9], "?", ["!"], "read"]]))
    (folder / "table.json").write_text("{}")
    overrides = [
        f"hydra.searchpath=[file://{TESTS / 'conf'}]", *FAKES[2:],
        f"data.path={folder / 'samples.json'}", f"model.table={folder / 'table.json'}",
        "run_name=composed", "logger=none",  # these have values only while Hydra runs
    ]  # fmt: skip
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("eval", overrides)


def changed(config: DictConfig, key: str, value: object) -> DictConfig:
    config = config.copy()
    OmegaConf.update(config, key, value, force_add=True)
    return config


def test_a_complete_configuration_becomes_objects(composed: DictConfig) -> None:
    setup = read_setup(composed)
    assert setup.preprocessing.tier == load_tier("medium")
    assert (setup.preprocessing.threshold.value, setup.preprocessing.threshold.metric) == (
        0.3,
        "absolute",
    )
    assert (setup.preprocessing.resize.crops, setup.preprocessing.resize.global_view) == (
        "fill",
        "letterbox",
    )
    assert (setup.loader.batch_size, setup.loader.on_error) == (2, "skip")
    assert (len(setup.dataset), setup.source.name, setup.seed) == (1, "table", 0)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("tier.min_crops", "many", ["tier.min_crops='many'", "whole number"]),
        ("tier", {"minimum": 3}, ["tier.minimum=3", "the keys of tier", "min_crops"]),
        ("tier", None, ["tier=None", "_target_"]),
        ("tier._target_", "tierexp.tiers.tier.Tear", ["tier._target_='tierexp.tiers.tier.Tear'"]),
        ("tier._target_", "nowhere.Tier", ["tier._target_='nowhere.Tier'"]),
        ("tier._target_", 3, ["tier._target_=3"]),
        ("tier.name", "${nothing}", ["tier.name", "'nothing' not found"]),
        ("threshold.metric", "cosine", ["threshold.metric='cosine'", "absolute, log_ratio"]),
        ("resize.crops", "squeeze", ["resize.crops='squeeze'", "fill, letterbox, stretch"]),
        ("resize.exact", "maybe", ["resize.exact='maybe'", "true or false"]),
        ("seed", -1, ["seed=-1", "from 0"]),
        ("seed", True, ["seed=True", "whole number"]),
        ("seed", 2**32, ["seed=4294967296", "to 4294967295"]),
        ("data.batch_size", 0, ["data.batch_size=0", "from 1 to 4096"]),
        ("data.num_workers", "two", ["data.num_workers='two'", "whole number"]),
        ("data.on_error", "ignore", ["data.on_error='ignore'", "skip, raise"]),
        ("data.path", "???", ["data.path='???'", "data.path=..."]),
        ("data.shuffle", True, ["data.shuffle=True", "the keys of data", "batch_size"]),
        ("verbose", True, ["verbose=True", "no such key", "output_dir"]),
    ],
)
def test_what_cannot_work_is_refused(
    composed: DictConfig, key: str, value: object, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        read_setup(changed(composed, key, value))
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize("key", ["tier", "logger", "output_dir", "tier.min_crops", "data.on_error"])
def test_what_has_been_deleted_is_missed(composed: DictConfig, key: str) -> None:
    config = composed.copy()
    OmegaConf.set_struct(config, False)
    parent, _, name = key.rpartition(".")
    del (OmegaConf.select(config, parent) if parent else config)[name]
    with pytest.raises(ConfigError, match=key):
        read_setup(config)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_no_key_of_an_option_goes_unread(option: Path) -> None:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        group, name = option.parent.name, option.stem
        # An option of a model may choose another option of a group beside it.
        whole = group == "model"
        config = compose("eval", [f"model={name}"]) if whole else compose(f"{group}/{name}")
        settings = config[group]
    parameters = inspect.signature(get_object(settings["_target_"])).parameters
    loader = {field.name for field in dataclasses.fields(LoaderSettings)}
    read_elsewhere = {"_target_", *(loader if option.parent.name == "data" else ())}
    knobs = [get_object(target) for target in settings.get("knobs", {}).values()]
    of_knobs = {field.name for knob in knobs for field in dataclasses.fields(knob)}
    assert settings.keys() - read_elsewhere - of_knobs <= parameters.keys()
    assert of_knobs <= settings.keys()


def test_build_offers_arguments_that_no_configuration_holds() -> None:
    config = OmegaConf.create(
        {"tier": {"_target_": "tierexp.tiers.native.NativeRule", "max_crops": 7}}
    )
    rule = build(config, "tier", name="mine", weather="fine")
    assert rule == NativeRule("mine", 7)
    with pytest.raises(ConfigError, match=r"tier\.max_crops=7"):
        build(config, "tier", max_crops=5)


def test_a_target_that_cannot_be_imported_is_said_with_the_reason(tmp_path: Path) -> None:
    broken = tmp_path / "tierexp_broken_module.py"
    broken.write_text("import a_module_nobody_has\n")
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(ConfigError, match="a_module_nobody_has") as refused:
            build(OmegaConf.create({"x": {"_target_": "tierexp_broken_module.Thing"}}), "x")
        assert refused.value.key == "x._target_"
        assert "\n" not in str(refused.value)
    finally:
        sys.path.remove(str(tmp_path))


def test_resolving_replaces_interpolations_and_finds_missing_values() -> None:
    config = OmegaConf.create({"seed": 3, "data": {"seed": "${seed}", "size": [1, 2]}})
    assert resolved(config) == {"seed": 3, "data": {"seed": 3, "size": [1, 2]}}
    assert resolved(config.data) == {"seed": 3, "size": [1, 2]}
    with pytest.raises(ConfigError, match=r"a\.b"):
        resolved(OmegaConf.create({"a": {"b": "???"}}))


def test_unknown_top_level_keys_are_refused() -> None:
    refuse_unknown_keys(OmegaConf.create({"seed": 0}), ["seed"])
    with pytest.raises(ConfigError, match="did you mean seed"):
        refuse_unknown_keys(OmegaConf.create({"seed": 0, "sead": 1}), ["seed"])


def test_the_shipped_model_is_found_as_package_data() -> None:
    config = OmegaConf.create({"checkpoint": "${tierexp.asset:tiny}"})
    assert resolved(config) == {"checkpoint": str(ROOT / "src" / "tierexp" / "assets" / "tiny")}


def test_a_checkpoint_of_ones_own_is_called_by_its_folder() -> None:
    molmo = OmegaConf.load(ROOT / "conf" / "model" / "molmo.yaml")
    config = OmegaConf.create({"model": molmo})
    with pytest.raises(ConfigError, match=r"model\.checkpoint"):
        resolved(config.model)
    config.model.checkpoint = "models/MolmoE-1B-0924/"
    assert resolved(config.model)["name"] == "MolmoE-1B-0924"


@pytest.mark.slow
def test_an_installed_wheel_brings_its_configuration(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), "."],
        cwd=ROOT, check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "from tierexp.config.location import checkout, config_dir\n"
        "from tierexp.tiers.files import load_tier\n"
        "import tierexp\n"
        f"assert tierexp.__file__.startswith({str(tmp_path)!r}), tierexp.__file__\n"
        "assert checkout() is None and config_dir().is_relative_to(tierexp.__path__[0])\n"
        "print(load_tier('high').preferred_crops)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout == "(9, 12, 15)\n", done.stderr
