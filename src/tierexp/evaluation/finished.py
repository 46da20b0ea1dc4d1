"""A run that is done, found by a later one that is the same.

In: a folder, and what the later run depends on. Out: the results in it; or, where an image that
could not be read can be read now, the records of a journal that lacks just that.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tierexp.config.settings import resume_key
from tierexp.data.sample import QuestionDataset
from tierexp.errors import ImageDecodeError
from tierexp.evaluation.journal import Record, refuse_other_settings
from tierexp.evaluation.latency_pass import PEAK
from tierexp.results.codec import encode
from tierexp.results.contradiction import contradiction_in
from tierexp.results.files import complete_results, load_results
from tierexp.results.schema import EvaluationResults

_log = logging.getLogger(__name__)


def finished_run(
    depends_on: Mapping[str, Any], folder: Path
) -> tuple[EvaluationResults, Path] | None:
    """The results that a run like this has left in a folder, as in a multirun that was interrupted
    in a later run, and their file.

    Args:
        depends_on: What measurements depend on, as a journal keeps it.
        folder: Folder of the run. A file there whose aggregates do not follow from its samples is
            renamed.

    Raises:
        ConfigError: The results there are of other settings.
        DataError: A results file cannot be read.
    """
    wanted = json.loads(json.dumps(depends_on))
    other: Mapping[str, Any] | None = None
    for path in complete_results(folder):
        results = load_results(path)
        contradiction = contradiction_in(results)
        if contradiction is not None:
            aside = path.with_suffix(".json.untrusted")
            _log.warning(
                "%s is set aside as %s and measured again: %s", path, aside.name, contradiction
            )
            path.replace(aside)
            continue
        origin = results.provenance
        found = resume_key(origin.config) | {"device": origin.device, "inputs": origin.inputs}
        if found == wanted:
            return results, path
        other = other or found
    if other is not None:
        refuse_other_settings(other, wanted)
    return None


def worth_another_try(results: EvaluationResults, dataset: QuestionDataset) -> bool:
    """Whether an image of the samples that failed can be read now."""
    failed = {failure.sample_id for failure in results.failures}
    indices = (index for index in range(len(dataset)) if dataset[index].sample_id in failed)
    return any(_readable(dataset, index) for index in indices)


def records_of(results: EvaluationResults, dataset: QuestionDataset) -> Iterator[Record]:
    """What the journal of the run held when it was done, but for the failures.

    Args:
        results: Results of the run.
        dataset: It was about.
    """
    index_of = {dataset[index].sample_id: index for index in range(len(dataset))}
    samples = {index_of[sample.sample_id]: encode(sample) for sample in results.per_sample_results}
    speed, latency = results.samples_per_second, results.latency
    yield {
        "samples": samples,
        "failures": {},
        "seconds": len(samples) / speed if speed else 0.0,
        "halved_batches": results.provenance.halved_batches,
    }
    if latency is not None:
        timed = {index: values["latency"] for index, values in samples.items() if values["latency"]}
        yield {"timed": timed, PEAK: latency.peak_memory_bytes}


def _readable(dataset: QuestionDataset, index: int) -> bool:
    try:
        dataset.image(index)
    except ImageDecodeError:
        return False
    return True
