"""The commands of the project: `tierexp eval ...` is `python eval.py ...`, and so on.

Imports of a command are its own, so that no command waits for what another needs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import NoReturn

from tierexp.config.refusal import refuse


def run_eval() -> None:
    """Evaluate a vision-language model at a tier."""
    from tierexp.cli.launch import launch
    from tierexp.evaluation.check import EvaluationCheck
    from tierexp.evaluation.run import evaluate
    from tierexp.report.comparison import finish

    alone = partial(evaluate, own_process=True)
    launch(alone, "eval", finish, check=EvaluationCheck(), resumes=True)


def run_train() -> None:
    """Train a small Molmo from nothing on the benchmark in the box."""
    from tierexp.cli.launch import launch
    from tierexp.training.run import train

    launch(train, config_name="train", resumes=True)


def run_report() -> None:
    """Make one page about the runs of a sweep."""
    from tierexp.report.command import main

    main()


def run_compare() -> None:
    """Compare results files, older ones among them."""
    from tierexp.report.compare_command import main

    main()


def run_tokens() -> None:
    """Say what images cost in families of models, without a model."""
    from tierexp.report.tokens_command import main

    main()


def run_optimize_tiers() -> None:
    """Design a tier for a distribution of image sizes."""
    from tierexp.cli.launch import launch
    from tierexp.tier_design.run import optimize_tiers

    launch(optimize_tiers, config_name="optimize_tiers")


def run_block_importance() -> None:
    """Measure which transformer blocks matter on a data set."""
    from tierexp.cli.launch import launch
    from tierexp.evaluation.block_importance import measure_block_importance

    launch(measure_block_importance, config_name="block_importance")


def run_fit_policy() -> None:
    """Fit a policy to a static sweep's results."""
    from tierexp.cli.launch import launch
    from tierexp.policies.commands import fit

    launch(fit, config_name="fit_policy")


def run_replay() -> None:
    """Replay a policy on a static sweep's results."""
    from tierexp.cli.launch import launch
    from tierexp.config.arguments import name_positional
    from tierexp.policies.commands import replay_policy

    sys.argv[1:] = name_positional(sys.argv[1:], "results")
    launch(replay_policy, config_name="replay")


COMMANDS: dict[str, Callable[[], None]] = {
    "eval": run_eval,
    "train": run_train,
    "report": run_report,
    "compare": run_compare,
    "tokens": run_tokens,
    "optimize-tiers": run_optimize_tiers,
    "block-importance": run_block_importance,
    "fit-policy": run_fit_policy,
    "replay": run_replay,
}
"""What `tierexp NAME` runs."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The installed command `tierexp`: hands its arguments to one of the commands.

    Args:
        arguments: Arguments of the command line; None for those of this process.

    Raises:
        SystemExit: With code 2 after one line about a command that does not exist, and with the
            code of the command otherwise.
    """
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments), ""]
    if name in ("", "-h", "--help"):
        _help()
    if name == "--version":
        import tierexp

        sys.stdout.write(f"tierexp {tierexp.__version__}\n")
        sys.exit(0)
    command = COMMANDS.get(name.replace("_", "-"))
    if command is None:
        close = get_close_matches(name, COMMANDS, n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        refuse(f"tierexp {name}: no such command; the commands are {', '.join(COMMANDS)}{guess}")
    # Hydra reads the process's own arguments, here and in the processes that it starts.
    sys.argv = [f"tierexp {name}", *rest[:-1]]
    command()


def _help() -> NoReturn:
    lines = [f"  {name:17} {(run.__doc__ or '').strip()}\n" for name, run in COMMANDS.items()]
    sys.stdout.write(
        "usage: tierexp COMMAND [ARGUMENTS]\n\n"
        f"{''.join(lines)}\n"
        "`tierexp COMMAND --help` says what a command takes. Hydra's overrides are written as\n"
        "they are: tierexp eval tier=medium data.max_samples=100\n"
    )
    sys.exit(0)
