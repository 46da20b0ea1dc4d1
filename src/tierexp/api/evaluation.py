"""`tierexp.evaluate`: what `eval.py` runs, from Python.

In: overrides, as text or as keyword arguments. Out: the results, as an object or as pandas.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from tierexp.api.composition import as_overrides, composed
from tierexp.config.build import has_target
from tierexp.config.checks import choice
from tierexp.errors import ConfigError, TierexpError
from tierexp.evaluation.run import evaluate as run_evaluation
from tierexp.models.none import NoModel
from tierexp.results.files import complete_results, load_results

if TYPE_CHECKING:
    import pandas as pd

    from tierexp.results.schema import EvaluationResults


@overload
def evaluate(
    *overrides: str, as_frame: Literal[False] = ..., **settings: object
) -> EvaluationResults: ...


@overload
def evaluate(*overrides: str, as_frame: Literal[True], **settings: object) -> pd.DataFrame: ...


def evaluate(
    *overrides: str, as_frame: bool = False, **settings: object
) -> EvaluationResults | pd.DataFrame:
    """Run one evaluation, as `python eval.py` does.

    Args:
        overrides: As on a command line: `"tier=medium"`, `"data.max_samples=100"`.
        as_frame: Give the samples as a pandas table, a row each, instead of the results.
        settings: Choices of groups and keys of the top level: `tier="medium"`, `seed=1`,
            `output_dir="runs/a"`.

    Returns:
        The results, which also lie in the output folder.

    Raises:
        TierexpError: A setting or a data file that cannot work; a multirun or `model=none`, which
            are the command's.
        SystemExit: With code 1 where every sample failed.
    """
    written = [*overrides, *as_overrides(settings)]
    if {"-m", "--multirun"} & {*written} or any(w.startswith("experiment=") for w in written):
        raise TierexpError("evaluate runs one configuration: call it for each, or use eval.py -m")
    choice("as_frame", as_frame, (True, False))  # type: ignore[arg-type]
    with composed("eval", written) as config:
        if has_target(config, "model", NoModel):
            allowed = "a model to evaluate; eval.py goes without one, and leaves no samples"
            raise ConfigError("model", "none", allowed)
        folder = Path(config.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        run_evaluation(config, folder)
    newest = max(complete_results(folder), key=lambda path: path.stat().st_mtime)
    results = load_results(newest)
    if not as_frame:
        return results
    from tierexp.report.frames import samples_frame

    return samples_frame([results])
