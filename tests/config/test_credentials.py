"""Keys and tokens: no file of a run, no line on the terminal ever holds one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.support.command_line import FAKES, Outcome, run_eval, run_on_fakes
from tests.support.wandb_records import records
from tierexp.config.credentials import refuse_credentials, without_credentials
from tierexp.config.location import config_dir
from tierexp.config.refusal import error_line
from tierexp.errors import ConfigError

SAMPLES = [[[480, 640], "which?", ["this"], "read"]]
TABLE = {"which?": "this"}
WANDB_KEY, HF_TOKEN = "5ec2e7" + "0123456789abcdef" * 2 + "5e", "hf_PLANTEDplantedPLANTED"
# Shaped like tokens, and put together here so that no scanner takes them for real ones.
GITHUB, OPENAI = "ghp_" + "PLANTED0" * 4, "sk-" + "PLANTED0" * 4
SECRETS = (WANDB_KEY, HF_TOKEN, GITHUB, OPENAI, "PLANTED-password")


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user with keys in the environment, whose W&B is offline all the same."""
    monkeypatch.setenv("WANDB_API_KEY", WANDB_KEY)
    monkeypatch.setenv("HF_TOKEN", HF_TOKEN)
    monkeypatch.setenv("DATABASE_PASSWORD", "PLANTED-password")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))


def leaks(folder: Path, outcome: Outcome) -> list[str]:
    """Where a planted secret is: files below a folder, their names, and the terminal."""
    wanted = [secret.encode() for secret in SECRETS]
    found = [
        str(path)
        for path in folder.rglob("*")
        if any(secret in os.fsencode(path) for secret in wanted)
        or (path.is_file() and any(secret in path.read_bytes() for secret in wanted))
    ]
    said = f"{outcome.out}\n{outcome.err}"
    return found + [secret for secret in SECRETS if secret in said]


@pytest.mark.parametrize("logger", [pytest.param("wandb", marks=pytest.mark.whole), "csv"])
def test_what_the_environment_holds_is_in_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logger: str
) -> None:
    """Not even the token in the address of the git remote that one works in."""
    checkout = tmp_path / "checkout"
    for command in (
        ["init", "-q", str(checkout)],
        ["-C", str(checkout), "remote", "add", "origin",
         f"https://{GITHUB}:x-oauth-basic@github.com/me/mine.git"],
        ["-C", str(checkout), "-c", "user.name=me", "-c", "user.email=me@example.org",
         "commit", "-q", "--allow-empty", "-m", "all"],
    ):  # fmt: skip
        subprocess.run(["git", *command], check=True)
    monkeypatch.chdir(checkout)
    runs = tmp_path / "runs"
    runs.mkdir()
    outcome = run_on_fakes(runs, SAMPLES, TABLE, "trainer=cpu", f"logger={logger}")
    assert outcome.code == 0
    (kept,) = (runs / "out").rglob("*.wandb" if logger == "wandb" else "hparams.yaml")
    if logger == "wandb":
        assert any(record.HasField("exit") for record in records(kept))  # all is written
    assert leaks(runs, outcome) == []


@pytest.mark.parametrize(
    ("override", "key"),
    [
        (f"+logger.api_key={WANDB_KEY}", "logger.api_key"),
        ("+logger.api_key=anything", "logger.api_key"),
        (f"+model.token={HF_TOKEN}", "model.token"),
        (f"data.path=https://me:{GITHUB}@example.org/x.json", "data.path"),
        (f"data.path=https://{GITHUB}@example.org/x.json", "data.path"),
        (f"data.path=https://example.org/x.json?a=1&token={OPENAI}", "data.path"),
        (f"model.table=/tmp/{OPENAI}/table.json", "model.table"),
        ("run_name=my-PLANTED-password", "run_name"),
        (f"tier=low,{HF_TOKEN}", "tier"),
        (f"hydra.job.env_set.HF_TOKEN={HF_TOKEN}", "hydra.job.env_set.HF_TOKEN"),
        ("hydra.job.env_set.MY_SECRET=x", "hydra.job.env_set.MY_SECRET"),
    ],
)
@pytest.mark.parametrize("multirun", [False, True])
def test_a_secret_on_the_command_line_is_refused_unrepeated(
    tmp_path: Path, override: str, key: str, multirun: bool
) -> None:
    mode = ["-m"] if multirun else []
    outcome = run_on_fakes(tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=csv", override, *mode)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {key}='***' is not possible: left out: ")
    assert outcome.err.count("\n") == 1
    assert leaks(tmp_path, outcome) == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("multirun", [False, True])
def test_a_secret_in_a_configuration_file_is_refused_before_hydra_copies_it(
    tmp_path: Path, multirun: bool
) -> None:
    configs = tmp_path / "my" / "data"
    configs.mkdir(parents=True)
    (configs / "mine.yaml").write_text(f"defaults: [plain]\nname: {HF_TOKEN}\n")
    (configs / "plain.yaml").write_text((Path(FAKES[1]) / "data" / "plain.yaml").read_text())
    outcome = run_eval(
        "--config-dir", str(tmp_path / "my"), "data=mine", "data.path=x", "model=tiny",
        "trainer=cpu", "logger=csv", f"output_dir={tmp_path / 'out'}", *["-m"] * multirun,
    )  # fmt: skip
    assert outcome.code == 2
    assert "data.name='***'" in outcome.err
    (configs / "mine.yaml").unlink()
    assert leaks(tmp_path, outcome) == []


def test_a_secret_that_an_interpolation_brings_is_refused(tmp_path: Path) -> None:
    outcome = run_on_fakes(
        tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=csv", "run_name=x-${oc.env:HF_TOKEN}"
    )
    assert outcome.code == 2
    assert "run_name='***'" in outcome.err
    assert leaks(tmp_path, outcome) == []


def test_a_refusal_hides_what_a_library_repeats() -> None:
    line = error_line(f"https://me:{GITHUB}@mirror.example.org/x said no to {HF_TOKEN}")
    assert line == "error: https://***@mirror.example.org/x said no to ***"


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/a?b=c&tokens=3", "me@example.org", "/data/photos@2x/a.jpg",
        "typical_vision_tokens", "hf_short", "sk-short", "lmms-lab/VQAv2", "task-1234567890",
    ],
)  # fmt: skip
def test_what_only_resembles_a_secret_stays(text: str) -> None:
    assert without_credentials(text) == text
    refuse_credentials({"a.typical_vision_tokens": text, "b": [text, 1, None], "image_key": text})


def test_short_values_of_the_environment_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "medium")
    refuse_credentials({"tier": "medium", "my_token": None, "token": ""})


def test_nested_settings_are_named_in_full() -> None:
    with pytest.raises(ConfigError, match=r"a\.b\.password='\*\*\*'"):
        refuse_credentials({"a": {"b": {"password": "x"}}})


@pytest.mark.whole
def test_no_shipped_setting_is_taken_for_a_secret() -> None:
    files = list(config_dir().rglob("*.yaml"))
    assert len(files) > 60
    for path in files:
        values = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        assert isinstance(values, dict)
        refuse_credentials({str(key): value for key, value in values.items()})


@pytest.mark.parametrize(
    "variable", ["GOOGLE_KEY", "MY_DB_PASS", "slack_token", "CLIENT_SECRET", "AZURE_PASSWORD"]
)
def test_a_setting_that_reads_a_secret_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """However short the secret is, and whatever it looks like."""
    monkeypatch.setenv(variable, "tiger")
    outcome = run_on_fakes(
        tmp_path, SAMPLES, TABLE, "trainer=cpu", "logger=csv", f"run_name=x_${{oc.env:{variable}}}"
    )
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith("error: run_name='***' is not possible: left out: ")
    assert not (tmp_path / "out").exists()


def test_a_variable_that_reads_no_secret_is_followed() -> None:
    refuse_credentials({"name": "${oc.env:USER}", "x": ["${oc.env:HOME,${oc.env:KEYBOARD,y}}"]})
    for hidden in ("${oc.env:HOME,${oc.env:MY_KEY}}", "${ oc.env : 'MY_KEY' }"):
        with pytest.raises(ConfigError, match=r"x='\*\*\*'"):
            refuse_credentials({"x": [hidden]})


def test_a_variable_that_says_where_a_key_is_holds_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_KEY", str(tmp_path))
    assert without_credentials(f"in {tmp_path}/data") == f"in {tmp_path}/data"


# Shaped as their issuers say, and put together here so that no scanner takes them for real ones.
SHAPES = {
    "google": "AI" + "za" + "SyPLANTED-PLANTED_PLANTED0123456789"[:35],
    "google oauth": "GOC" + "SPX-" + "PLANTEDplantedPLANTED-012345",
    "google access": "ya" + "29." + "a0PLANTEDplantedPLANTED_012",
    "slack bot": "xo" + "xb-" + "123456789012-1234567890123-PLANTEDplanted",
    "slack refresh": "xo" + "xe.xoxp-" + "1-PLANTEDplanted",
    "slack app": "xa" + "pp-" + "1-A0123456789-PLANTEDplanted",
    "slack hook": "https://hooks.slack.com/ser" + "vices/T01234567/B01234567/PLANTED",
    "pem": "-----BEGIN RSA PRIV" + "ATE KEY-----\nPLANTED\n-----END RSA PRIVATE KEY-----",
    "pem cut off": "-----BEGIN PRIV" + "ATE KEY----- PLANTED PLANTED",
    "azure storage": "AccountName=me;Account" + "Key=" + "PLANTED+planted/" * 5 + "PLANTED==",
    "azure bus": "SharedAccess" + "Key=" + "PLANTED+planted/" * 2 + "PLANTED=",
    "azure client": "PLA8" + "Q~" + "PLANTED.planted_PLANTED-planted~0",
    "aws session": "AS" + "IA" + "PLANTED012345678",
    "wandb server": "lo" + "cal-" + "0123456789abcdef" * 2 + "01234567",
    "npm": "np" + "m_" + "PLANTED0" * 4 + "0123",
    "pypi": "py" + "pi-" + "AgEPLANTED-planted_PLANTED",
    "stripe": "sk" + "_live_" + "PLANTEDplanted01234",
    "sendgrid": "S" + "G." + "PLANTEDplanted012." + "PLANTEDplantedPLANTEDplanted",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_known_shapes_of_keys_are_hidden(shape: str) -> None:
    hidden = without_credentials(f"before {SHAPES[shape]}")
    assert "PLANTED" not in hidden
    assert hidden.startswith("before ")
    with pytest.raises(ConfigError, match=r"run_name='\*\*\*'"):
        refuse_credentials({"run_name": SHAPES[shape]})


@pytest.mark.parametrize(
    "innocent",
    [
        "outputs/2026-11-24/18-30-00", "tierqa_medium_top_k-1", "allenai/MolmoE-1B-0924",
        "task-specific-evaluation-of-tiers", "0123456789abcdef0123456789abcdef01234567",
        "/home/me/sig.jsonl", "a~b.c-d_e", "xoxo-lots-of-love-to-you", "local-copy-of-the-data",
        "https://hooks.example.org/services/T01234567/B01234567/x", "Key=value;Account=me",
    ],
)  # fmt: skip
def test_names_and_paths_are_no_secrets(innocent: str) -> None:
    assert without_credentials(innocent) == innocent
    refuse_credentials({"run_name": innocent})
