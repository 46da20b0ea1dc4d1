"""What people write behind `python eval.py`: taken for what it says, or refused in one line."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from tests.support.command_line import assert_refused, run_command, run_eval
from tierexp.api.composition import composed
from tierexp.config.build import has_target
from tierexp.config.refusal import refusing
from tierexp.config.written import written_overrides
from tierexp.evaluation.model_free import read_model_free_parts
from tierexp.evaluation.setup import read_setup
from tierexp.models.none import NoModel


@pytest.fixture(autouse=True)
def _hydra_of_this_test() -> Iterator[None]:
    """A command is a process of its own: what Hydra knows of a broken one ends with its test."""
    before = HydraConfig.instance().cfg
    yield
    HydraConfig.instance().cfg = before


# What is accepted: the command line, and what the runs then have under a key.
ACCEPTED: list[tuple[str, str, list[Any]]] = [
    ("", "tier.name", ["medium"]),
    ("tier=low", "tier.name", ["low"]),
    ("tier=low tier=high", "tier.name", ["high"]),
    ("'tier= low'", "tier.name", ["low"]),
    ("'tier=low '", "tier.name", ["low"]),
    ("-m tier=low,high", "tier.name", ["low", "high"]),
    ("tier=low,high -m", "tier.name", ["low", "high"]),
    ("--multirun tier=low,high", "tier.name", ["low", "high"]),
    ("-m tier=low", "tier.name", ["low"]),
    ("-m", "tier.name", ["medium"]),
    ("-m seed=1,2 tier=low", "seed", [1, 2]),
    ("-m 'seed=range(1,4)'", "seed", [1, 2, 3]),
    ("-m 'seed=choice(5,7)'", "seed", [5, 7]),
    ("seed=0", "seed", [0]),
    ("seed=4294967295", "seed", [4294967295]),
    ("++seed=1", "seed", [1]),
    ("tier.min_crops=5 tier.preferred_crops=[6,8]", "tier.preferred_crops", [[6, 8]]),
    ("'tier.preferred_crops=[6, 8]'", "tier.preferred_crops", [[6, 8]]),
    ("'tier.description=\"a, b\"'", "tier.description", ["a, b"]),
    ("tier.name=mine", "tier.name", ["mine"]),
    ("tier.name='my tier'", "tier.name", ["my tier"]),
    ("tier.name=a/b", "tier.name", ["a/b"]),
    ("'tier.name=\"größer\"'", "tier.name", ["größer"]),
    ("tier=low.yaml", "tier.name", ["low"]),
    ("tier.name=${data.split}", "tier.name", ["test"]),
    ("tier=fixed tier.vision_tokens=432", "tier.vision_tokens", [432]),
    ("tier=fixed_432", "tier.vision_tokens", [432]),
    ("tier=fixed tier.vision_tokens=1", "tier.vision_tokens", [1]),
    ("vision_tokens_list=[432,720]", "tier.vision_tokens", [432, 720]),
    ("'vision_tokens_list=[432, 720]'", "tier.vision_tokens", [432, 720]),
    ("-m vision_tokens_list=[432]", "tier.vision_tokens", [432]),
    ("tier=native", "tier.max_crops", [12]),
    ("tier=native tier.max_crops=100", "tier.max_crops", [100]),
    ("threshold=strict", "threshold.metric", ["absolute"]),
    ("threshold.value=0", "threshold.value", [0]),
    ("threshold.value=null", "threshold.value", [None]),
    ("threshold.metric=log_ratio", "threshold.metric", ["log_ratio"]),
    ("resize=letterbox", "resize.crops", ["letterbox"]),
    ("data.max_samples=5", "data.max_samples", [5]),
    ("data.max_samples=null", "data.max_samples", [None]),
    ("data.split=validation", "data.split", ["validation"]),
    ("data.batch_size=1", "data.batch_size", [1]),
    ("data.num_workers=0", "data.num_workers", [0]),
    ("data.on_error=raise", "data.on_error", ["raise"]),
    ("model.top_k=1", "model.top_k", [1]),
    ("model.top_k=null", "model.top_k", [None]),
    ("model.num_active_blocks=3", "model.num_active_blocks", [3]),
    ("model.dtype=bfloat16", "model.dtype", ["bfloat16"]),
    ("model.max_new_tokens=16384", "model.max_new_tokens", [16384]),
    ("latency=on", "latency.repeats", [3]),
    ("latency=on latency.output_tokens=16", "latency.output_tokens", [16]),
    ("latency=on latency.passes=one data.batch_size=1", "latency.passes", ["one"]),
    ("trainer=cpu trainer.devices=2", "trainer.devices", [2]),
    ("trainer.devices=auto", "trainer.devices", ["auto"]),
    ("trainer.devices=[0,1]", "trainer.devices", [[0, 1]]),
    ("trainer=ddp", "trainer.strategy", ["ddp"]),
    ("+trainer.deterministic=true", "trainer.deterministic", [True]),
    ("logger=csv", "logger._target_", ["lightning.pytorch.loggers.CSVLogger"]),
    ("validate.strict=true", "validate.strict", [True]),
    ("resume=true", "resume", [True]),
    ("experiment=null", "tier.name", ["medium"]),
    ("experiment=tier_sweep", "tier.name", ["low", "medium", "high"]),
    ("run_name=mine", "run_name", ["mine"]),
    ("output_dir=made/of/several", "output_dir", ["made/of/several"]),
    ("'output_dir=with blanks'", "output_dir", ["with blanks"]),
    ("output_dir=2026", "output_dir", [2026]),
]

# What is refused: the command line, and words of the line that says why.
REFUSED: list[tuple[str, str]] = [
    # Not an override.
    ("low", "'low' is not an override"),
    ("tier low", "'tier' is not an override"),
    ("tier:low", "'tier:low' is not an override"),
    ("{tier:low}", "is not an override"),
    ("=5", "=5 is not possible: no such key"),
    ("tier.name=größer", "is not an override"),
    ("data.path=[low", "is not an override"),
    ("tier=[low", "one option"),
    ("'seed=${'", "is not an override"),
    ("'seed=${}'", "is not an override"),
    ("seed=1)", "is not an override"),
    ("'seed=\"1'", "is not an override"),
    # Options of other programs.
    ("--tier low", "tier=low"),
    ("--tier=low", "tier=low"),
    ("--limit 5", "data.max_samples=5"),
    ("--limit=5", "data.max_samples=5"),
    ("--max_samples 5", "data.max_samples=5"),
    ("--max-samples=5", "data.max_samples=5"),
    ("--num_samples 5", "data.max_samples=5"),
    ("--batch-size=3", "data.batch_size=3"),
    ("--batch_size 3", "data.batch_size=3"),
    ("--workers 2", "data.num_workers=2"),
    ("--model tiny", "model=tiny"),
    ("--data folder", "data=folder"),
    ("--checkpoint x", "model.checkpoint=x"),
    ("--output x", "output_dir=x"),
    ("--output-dir x", "--output-dir"),
    ("--device cpu", "trainer=cpu"),
    ("--gpus 2", "trainer.devices=2"),
    ("--seed 1", "--seed"),
    ("--verbose", "--verbose"),
    ("-x", "-x"),
    ("-t low", "-t"),
    ("--nope", "an option of its own"),
    ("--multirunn", "did you mean --multirun"),
    # Keys.
    ("nope=1", "nope=1 is not possible: no such key; the keys are data"),
    ("+nope=1", "nope=1 is not possible: no such key"),
    ("++nope=1", "no such key"),
    ("~nope", "no such key"),
    ("~nope.x", "no such key"),
    ("seeed=1", "did you mean seed?"),
    ("TIER=low", "TIER='low' is not possible: no such key"),
    ("tier.nope=1", "tier.nope=1 is not possible: no such key; the keys of tier are"),
    ("+tier.nope=1", "tier.nope=1"),
    ("tier.min-crops=3", "did you mean min_crops?"),
    ("tier.min_crop=3", "did you mean min_crops?"),
    ("tier/min_crops=3", "tier/min_crops"),
    ("tier.min_crops.x=1", "tier.min_crops has no keys"),
    ("tier.preferred_crops.x=1", "tier.preferred_crops"),
    ("model.nope=1", "the keys of model are"),
    ("+model.x=1", "model.x=1 is not possible: no such key"),
    ("data.nope=1", "no such key; the keys of data are"),
    ("threshold.nope=1", "the keys of threshold are metric, value"),
    ("resize.nope=1", "the keys of resize are"),
    ("latency.nope=1", "latency.nope=1"),
    ("trainer.nope=1", "trainer.nope=1"),
    ("+trainer.max_time=5", "the keys of trainer are"),
    ("+trainer.max_epochs=5", "the keys of trainer are"),
    ("validate.nope=1", "validate.nope=1"),
    ("+validate.nope=1", "the keys of validate are strict"),
    ("recipe.steps=5", "recipe.steps=5 is not possible: no key of this command, but of train.py"),
    ("architecture.d_model=5", "but of train.py"),
    ("budget=5", "budget=5 is not possible: no such key"),
    ("+X._target_=builtins.dict", "no such key"),
    ("X._target_=builtins.dict", "no such key"),
    ("hydra.nope=1", "hydra.nope=1"),
    ("hydra=nope", "a key of Hydra's own"),
    ("hydra/launcher=nope", "hydra/launcher"),
    ("hydra/job_logging=nope", "hydra/job_logging"),
    # Deleted, doubled.
    ("~tier", "tier"),
    ("~data", "data=None is not possible: it has been deleted"),
    ("~seed", "seed=None is not possible: it has been deleted"),
    ("~trainer", "trainer"),
    ("~data.batch_size", "data.batch_size"),
    ("~tier.min_crops", "tier.min_crops=None is not possible: it needs a value"),
    ("~output_dir", "output_dir"),
    ("+seed=1", "seed has its value already"),
    ("+tier=low", "tier has its value already"),
    ("++tier=low", "tier has its value already"),
    # Options of groups.
    ("tier=x", "tier='x' is not possible: one of fixed, "),
    ("tier=LOW", "tier='LOW' is not possible: one of fixed, "),
    ("tier=lo", "one of fixed"),
    ("tier=", "tier='' is not possible: one of fixed"),
    ("tier=5", "tier=5 is not possible: one of fixed"),
    ("tier=null", "tier=None is not possible: one of fixed"),
    ("tier=true", "tier=True is not possible: one of fixed"),
    ("tier=1.5", "tier=1.5"),
    ("tier={a:1}", "tier={'a': 1}"),
    ("'tier=${nope}'", "tier='${nope}' is not possible: one of fixed"),
    ("tier=[low,high]", "-m tier=low,high runs each of them"),
    ("tier=[low]", "-m tier=low runs each of them"),
    ("tier=[]", "one option, tier=NAME"),
    ("data=[]", "one option, data=NAME"),
    ("tier=low,high", "-m tier=low,high runs each of them"),
    ("tier==low", "tier="),
    ("tier=low=high", "tier="),
    ("model=x", "molmo, molmo2_4b, "),
    ("model=null", "molmo, molmo2_4b, "),
    ("data=x", "one of a_okvqa, "),
    ("data=null", "data=None"),
    ("resize=x", "one of fill, letterbox"),
    ("threshold=x", "one of default"),
    ("latency=x", "one of off, on"),
    ("latency=yes", "one of off, on"),
    ("trainer=x", "one of auto, cpu, ddp, gpu"),
    ("trainer=tpu", "one of auto, cpu, ddp, gpu"),
    ("logger=x", "one of csv, none, wandb"),
    ("logger=null", "one of csv, none, wandb"),
    ("experiment=x", "experiment='x' is not possible: one of"),
    # Several values.
    ("data.path=a,b", "quoted twice"),
    ("seed=1,2", "-m seed=1,2 runs each of them, a list is [1,2]"),
    ("'seed=range(3)'", "-m"),
    ("'tier=choice(low,high)'", "-m"),
    ("-m 'seed=range(0,0)'", "seed"),
    ("-m 'seed=range(0,5000000)'", "seed"),
    ("-m tier=low,x", "one of fixed"),
    ("-m model.top_k=1,99", "model.top_k=99"),
    ("-m tier=", "one of fixed"),
    ("-m tier=[low,high]", "-m tier=low,high"),
    ("-m 'seed=choice()'", "seed"),
    ("vision_tokens_list=432,720", "a list of token targets, such as [432,720]"),
    ("vision_tokens_list=432", "such as [432]"),
    ("vision_tokens_list=[]", "a list of token targets"),
    ("vision_tokens_list=", "a list of token targets"),
    ("vision_tokens_list=[432", "a list of token targets"),
    ("vision_tokens_list=[a]", "a list of token targets"),
    ("vision_tokens_list=[-1]", "a list of token targets"),
    ("vision_tokens_list=[432.5]", "a list of token targets"),
    ("vision_tokens_list=[432] tier=low", "no tier=... beside it"),
    ("vision_tokens_list=[432] vision_tokens_list=[720]", "one list"),
    ("vision_tokens_list=[0]", "tier.vision_tokens=0"),
    # Interpolations.
    ("'seed=${nope}'", "seed='${...}' is not possible: Interpolation key 'nope' not found"),
    ("'seed=${seed}'", "Recursive interpolation"),
    ("'seed=${oc.nope:1}'", "Unsupported interpolation type oc.nope"),
    ("'seed=${model}'", "seed="),
    ("seed=???", "seed='???' is not possible: it needs a value"),
    ("'tier.name=${nope}'", "tier.name='${...}' is not possible"),
    ("'tier.name=${oc.env:NOPE_NOPE}'", "'NOPE_NOPE' not found"),
    ("'tier.max_crops=${tier.max_crops}'", "Recursive interpolation"),
    ("'output_dir=${nope}'", "'nope' not found"),
    ("'output_dir=${oc.env:NOPE_NOPE}'", "'NOPE_NOPE' not found"),
    ("'data.batch_size=${oc.env:NOPE_NOPE}'", "'NOPE_NOPE' not found"),
    # Data, and folders.
    ("data=folder", "data.path='???' is not possible: it needs a value"),
    ("data=folder data.path=", "text that is not empty"),
    ("data=folder data.path=nope.jsonl", "an existing file"),
    ("data=folder data.path=/root", "an existing file"),
    ("data=folder data.path=/dev/zero", "an existing file"),
    ("data=folder data.path=/proc/self/mem", "/proc/self/mem"),
    ("data=folder data.path=~nouser/x", "data.path"),
    ("data=folder data.path=5", "data.path=5"),
    (f"data=folder data.path={'x' * 5000}", "File name too long"),
    ("data=folder data.path=x data.score=nope", "data.score"),
    ("data=sizes data.path=x", "sizes suffice to model=none"),
    ("data=hub data.path=nope", "data"),
    ("data=vqa_v2 data.path=nope", "nope"),
    ("model=none data.batch_size=5", "data.batch_size"),
    ("model=none latency=on", "latency"),
    ("output_dir=", "output_dir='' is not possible: a folder"),
    ("hydra.run.dir=", "hydra.run.dir='' is not possible: a folder"),
    ("hydra.sweep.dir=''", "is not possible: a folder; hydra.sweep.dir=. is the current one"),
    ("output_dir=''", "a folder"),
    ("output_dir=null", "a folder"),
    ("--config-dir nope tier=low", "nope"),
    ("--config-name=nope", "nope"),
]


# Values that Hydra reads, and that cannot be.
WRONG_VALUES: list[tuple[str, str]] = [
    # Numbers.
    ("seed=abc", "seed='abc' is not possible: a whole number from 0 to 4294967295"),
    ("seed=-1", "seed=-1"),
    ("seed=1.5", "seed=1.5"),
    ("seed=1e9", "a whole number"),
    ("seed=true", "seed=True"),
    ("seed=null", "seed=None"),
    ("seed=[1]", "seed=[1]"),
    ("seed={a:1}", "seed={'a': 1}"),
    ("seed=''", "seed=''"),
    ("seed=", "seed=''"),
    ("seed=4294967296", "from 0 to 4294967295"),
    ("seed=99999999999999999999", "from 0 to 4294967295"),
    (f"seed={'9' * 5000}", "a number of at most 1000 digits"),
    (f"tier.max_crops={'9' * 5000}", "(5002 characters)"),
    (f"seed={'[' * 2000}{']' * 2000}", "brackets nested at most 40 deep"),
    (f"seed={'{a:' * 500}1{'}' * 500}", "brackets nested at most 40 deep"),
    ("tier.min_crops=0", "tier.min_crops=0 is not possible: a whole number from 1 to 100"),
    ("tier.min_crops=2.0", "tier.min_crops=2.0"),
    ("tier.min_crops=9", "at most tier.max_crops (8)"),
    ("tier.min_crops=null", "tier.min_crops=None"),
    ("tier.max_crops=1000", "tier.max_crops=1000 is not possible: a whole number from 1 to 100"),
    ("tier.max_crops=1e2", "tier.max_crops=100.0"),
    ("tier=native tier.max_crops=1000", "from 1 to 100"),
    ("tier=fixed tier.vision_tokens=99999999999999", "from 1 to 14544"),
    ("tier=fixed tier.vision_tokens=0", "tier.vision_tokens=0"),
    ("tier=fixed tier.vision_tokens=x", "tier.vision_tokens='x'"),
    ("tier=fixed tier.vision_tokens=[432]", "tier.vision_tokens=[432]"),
    ("tier.typical_vision_tokens=0", "tier.typical_vision_tokens=0"),
    ("tier.preferred_crops=4", "a list of crop counts, such as [4,6]"),
    ("tier.preferred_crops=[4,4]", "each crop count once"),
    ("tier.preferred_crops=[4,99]", "4 to 8"),
    ("tier.preferred_crops=[a]", "tier.preferred_crops='a'"),
    ("tier.preferred_crops=[]", "at least one"),
    ("tier.preferred_crops=null", "a list of crop counts"),
    ("tier.preferred_crops={4:1}", "a list, such as [4,6]"),
    ("tier.preferred_crops=4,6", "a list is [4,6]"),
    ("threshold.value=-1", "threshold.value=-1"),
    ("threshold.value=nan", "a finite number"),
    ("threshold.value=inf", "a finite number"),
    ("threshold.value=1e99999", "a finite number"),
    ("threshold.value=x", "threshold.value='x'"),
    ("threshold.metric=x", "one of absolute, log_ratio"),
    ("data.max_samples=0", "data.max_samples=0"),
    ("data.max_samples=-5", "data.max_samples=-5"),
    ("data.max_samples=1e3", "data.max_samples=1000.0"),
    ("data.max_samples=all", "data.max_samples='all'"),
    ("data.batch_size=0", "a whole number from 1 to 4096"),
    ("data.batch_size=100000000", "a whole number from 1 to 4096"),
    ("data.batch_size=null", "data.batch_size=None"),
    ("data.num_workers=-1", "a whole number from 0 to 256"),
    ("data.num_workers=100000", "a whole number from 0 to 256"),
    ("data.on_error=x", "one of skip, raise"),
    ("data.split=x", "data.split='x'"),
    ("model.top_k=0", "a whole number from 1 to 8, or null"),
    ("model.top_k=99", "a whole number from 1 to 8, or null"),
    ("model.top_k=1.0", "model.top_k=1.0"),
    ("model.num_active_blocks=0", "from 1 to 4"),
    ("model.num_active_blocks=99", "from 1 to 4"),
    ("model.max_new_tokens=0", "a whole number from 1 to 16384"),
    ("model.max_new_tokens=100000000", "a whole number from 1 to 16384"),
    ("model.max_new_tokens=null", "model.max_new_tokens=None"),
    ("latency=on latency.repeats=0", "latency.repeats=0"),
    ("latency=on latency.repeats=100000", "from 1 to 1000"),
    ("latency=on latency.warmup=100000", "from 0 to 1000"),
    ("latency=on latency.output_tokens=99999999", "from 1 to 16384"),
    ("latency=on latency.passes=x", "one of one, two"),
    ("latency=on latency.passes=one", "data.batch_size"),
    ("trainer.devices=1000", "a number from 1 to 64"),
    ("trainer.devices=0", "trainer.devices=0"),
    ("trainer.devices=-2", "trainer.devices=-2"),
    ("trainer.devices=x", "trainer.devices='x'"),
    ("trainer.devices=1.5", "trainer.devices=1.5"),
    ("trainer.devices=[]", "trainer.devices=[]"),
    ("trainer.devices=[a]", "trainer.devices=['a']"),
    ("trainer=ddp trainer.num_nodes=100000", "trainer.num_nodes=100000"),
    # Words.
    ("trainer.accelerator=tpu", "trainer.accelerator='tpu' is not possible: one of auto, cpu"),
    ("trainer.accelerator=mps", "trainer.accelerator='mps' is not possible: one of auto, cpu"),
    ("trainer.accelerator=null", "trainer.accelerator=None"),
    ("+trainer.precision=bf16-true", "model.dtype is the precision"),
    ("+trainer.precision=16", "model.dtype is the precision"),
    ("+trainer.limit_test_batches=2", "data.max_samples makes an evaluation shorter"),
    ("+trainer.fast_dev_run=true", "data.max_samples makes an evaluation shorter"),
    ("+trainer.strategy=fsdp", "auto or ddp"),
    ("resize.crops=x", "one of fill, letterbox, stretch"),
    ("model.block_policy=x", "one of first, last_skipped"),
    ("model.dtype=x", "one of auto, float32, bfloat16"),
    ("model.dtype=float16", "one of auto, float32, bfloat16"),
    ("model.backend=tensorrt", "eager, compile"),
    ("model.checkpoint=nope", "nope"),
    ("model.checkpoint=", "text that is not empty"),
    ("model.checkpoint=null", "model.checkpoint=None"),
    ("model.checkpoint=/etc/passwd", "Not a directory"),
    (f"model.checkpoint={'x' * 5000}", "(5002 characters)"),
    ("model.block_importance=nope.json", "model.block_importance='nope.json'"),
    ("model.name=", "model.name=''"),
    ("tier.name=", "text that is not empty"),
    ("tier.name=5", "tier.name=5"),
    ("tier.name=[a]", "tier.name=['a']"),
    (f"tier.name={'x' * 300}", "at most 180 bytes"),
    ("validate.strict=maybe", "true or false"),
    ("resume=maybe", "true or false"),
    ("resume=1", "resume=1"),
    ("overwrite=maybe", "true or false"),
    ("overwrite=true resume=true", "overwrite"),
    # W&B's.
    ("logger.mode=sometimes", "one of auto, online"),
    ("run_name=", "logger.name=''"),
    ("logger.project=a/b", "logger.project='a/b'"),
    ("logger.project=''", "logger.project=''"),
    (f"logger.project={'p' * 129}", "at most 128 characters"),
    ("logger.tags=tiers", "a list of texts, such as"),
    ("logger.tags=[1]", "logger.tags=1"),
    (f"logger.tags=[{'t' * 65}]", "at most 64 characters"),
    ("logger.entity=3", "logger.entity=3"),
    ("logger.notes=[a]", "logger.notes=['a']"),
    ("logger.mode=dryrun data.max_samples=0", "data.max_samples=0"),
    # Objects.
    ("tier._target_=builtins.dict", "tier._target_='builtins.dict'"),
    ("model._target_=builtins.dict", "model._target_='builtins.dict'"),
    ("data._target_=builtins.dict", "data._target_='builtins.dict'"),
    ("tier._target_=os", "the path of a class or function"),
    ("tier._target_=nope.nope", "the path of a class or function"),
    ("tier._target_=nope", "the path of a class or function"),
    ("tier._target_=", "the path of a class or function"),
    ("tier._target_=null", "the path of a class or function"),
    ("tier._target_=5", "the path of a class or function"),
    ("tier._target_=tierexp.tiers.tier", "a class or function"),
    ("tier._target_=tierexp.tiers.tier.MAX_CROPS", "tier._target_"),
    ("resize._target_=os.getcwd", "resize"),
]


# Folders that cannot be: what the machine says of them is exit code 1.
NO_FOLDERS: list[tuple[str, str]] = [
    ("output_dir=/proc/x", "/proc/x cannot be written"),
    ("output_dir=/etc/passwd/x", "Not a directory"),
    (f"output_dir=/tmp/{'x' * 300}", "File name too long"),
    (f"output_dir={'x/' * 3000}", " characters)"),
    ("-m tier=low,high output_dir=/proc/x", "/proc/x cannot be written"),
]


@dataclass
class Checked:
    """Takes the place of an evaluation: what it would run is checked and kept, and nothing runs."""

    configs: list[DictConfig]

    def __call__(self, config: DictConfig, folder: Path) -> None:
        """Check a run as `python eval.py` does before it loads anything."""
        del folder
        if has_target(config, "model", NoModel):
            read_model_free_parts(config, written_overrides())
        else:
            read_setup(config)
        self.configs.append(config)


def test_the_table_is_long_enough_and_names_each_case_once() -> None:
    cases = [line for line, *_ in (*ACCEPTED, *REFUSED, *WRONG_VALUES, *NO_FOLDERS)]
    assert len(cases) == len(set(cases)) >= 250


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(("line", "key", "values"), ACCEPTED, ids=[line for line, *_ in ACCEPTED])
def test_it_means_what_it_says(line: str, key: str, values: list[Any]) -> None:
    checked = Checked([])
    outcome = run_command(checked, "eval", *shlex.split(line))
    assert (outcome.code, outcome.err) == (0, "")
    found = [OmegaConf.select(config, key) for config in checked.configs]
    plain = [OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for v in found]
    assert plain == values


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("line", "words", "code"),
    [(*row, 2) for row in REFUSED] + [(*row, 1) for row in NO_FOLDERS],
    ids=[line[:60] for line, _ in (*REFUSED, *NO_FOLDERS)],
)
def test_it_is_refused_in_one_line(line: str, words: str, code: int) -> None:
    outcome = run_command(Checked([]), "eval", *shlex.split(line))
    assert outcome.code == code
    assert_one_line(outcome.err, words)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("line", "words"), WRONG_VALUES, ids=[line[:60] for line, _ in WRONG_VALUES]
)
def test_a_wrong_value_is_refused_in_one_line(
    line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what a command does with a configuration once Hydra has composed it."""
    with pytest.raises(SystemExit) as end, refusing(), composed("eval", shlex.split(line)) as found:
        Checked([])(found, Path())
    assert end.value.code == 2
    assert_one_line(capsys.readouterr().err, words)


def assert_one_line(said: str, words: str) -> None:
    assert said.startswith("error: ")
    assert said.count("\n") == 1, said
    assert words in said
    assert len(said) < 2100
    assert not any(word in said for word in ("Traceback", "object_type", "full_key"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [1\n", "model/broken.yaml, line 2 is not YAML"),
        ("defaults: [base/nothing@_here_, _self_]\n", "Could not load 'model/base/nothing'"),
        ("defaults: 3\n", "defaults must be a list"),
    ],
)
def test_a_broken_option_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    """Whatever else is set beside it."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "broken.yaml").write_text(text)
    line = ("--config-dir", str(tmp_path), "model=broken", "model.top_k=1", "tier=low")
    assert_refused(run_eval(*line), [words])
