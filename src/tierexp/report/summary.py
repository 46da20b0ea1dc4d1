"""The console summary at the end of a run, readable at 80 columns and in a pipe."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from operator import itemgetter
from pathlib import Path

from rich.box import SQUARE
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tierexp.report.targets_table import checks_table
from tierexp.results.latency import LatencyResults
from tierexp.results.metrics import number_text, percent_text
from tierexp.results.model_free import ModelFreeResults
from tierexp.results.policy_record import point_label
from tierexp.results.schema import EvaluationResults, Failure, SampleResult, TaskAccuracy

_BAR = 30
_MOST_REASONS = 5
_MOST_ANSWERS = 5
_WIDEST = 120
"""Columns of the table of answers, on however wide a console."""
_VERDICTS = {1.0: "right", 0.0: "wrong"}
_FILE = re.compile(r"^(image|(?:(?!: ).)*(?:[/\\](?:(?!: ).)*|\.\w+)): ")
_NUMBER = re.compile(r"\d+")


def print_summary(
    results: EvaluationResults | ModelFreeResults,
    path: Path,
    logger_line: str | None,
    console: Console,
) -> None:
    """Print what a run found and where it is kept.

    Args:
        results: Results of the run.
        path: Path of the results file.
        logger_line: Where the logger keeps the metrics; None where it keeps none.
        console: To print to.
    """
    console.print(_figures(results))
    if isinstance(results, EvaluationResults) and results.num_samples:
        console.print(_answers(results.per_sample_results, console.width))
        console.print(_accuracies(results))
        if results.latency is not None:
            console.print(_latencies(results.latency))
        console.print(checks_table(results.validation))
    if results.num_failed:
        console.print(_failures(results))
    # No wrapping: a path is to be copied.
    console.print(Text(f"results  {path}"), soft_wrap=True)
    if logger_line is not None:
        console.print(Text(f"metrics  {logger_line}"), soft_wrap=True)


def _figures(results: EvaluationResults | ModelFreeResults) -> Table:
    low, high = results.tier_range.min_crops, results.tier_range.max_crops
    table = Table(
        title=Text(f"{results.dataset} · tier {results.tier} · model {results.model}"),
        title_justify="left", show_header=False, min_width=60, box=SQUARE,
    )  # fmt: skip
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("tier", Text(f"{results.tier}, {low} to {high} crops"))
    table.add_row("samples", f"{results.num_samples} evaluated, {results.num_failed} failed")
    if isinstance(results, EvaluationResults) and results.num_unparsed:
        table.add_row("unparsed", f"{results.num_unparsed} answers, counted as wrong")
    if not results.num_samples:
        return table
    for index, (crops, count) in enumerate(results.selected_crops_distribution.items()):
        fraction = count / results.num_samples
        table.add_row(
            "" if index else "crops",
            f"{crops:>2}  {'█' * max(1, round(_BAR * fraction))} {count} ({fraction:.0%})",
        )
    for metric in results.metrics:
        if any(results.aggregates[metric.field(name)] is not None for name in metric.statistics):
            label = "crops, mean" if metric.name == "selected_crops" else metric.title
            table.add_row(Text(label), Text(metric.summary(results.aggregates)))
    if isinstance(results, EvaluationResults):
        experts = "dense" if results.top_k is None else f"top {results.top_k} experts"
        others = [f"{name} {value}" for name, value in results.other_knobs.items()]
        blocks = f"{results.num_active_blocks} blocks"
        table.add_row("model", ", ".join([blocks, experts, *others]))
        for title, cell in _budgets(results):
            table.add_row(title, Text(cell))
        if results.samples_per_second is not None:
            table.add_row("speed", f"{number_text(results.samples_per_second)} samples per second")
    else:
        table.add_row("speed", f"{number_text(results.images_per_second)} images per second")
    return table


def _budgets(results: EvaluationResults) -> Iterator[tuple[str, str]]:
    """What policies had to spend, and spent."""
    for record in results.policies:
        spent = f"{record.mean_cost:.4g} {record.unit} a question"
        if record.budget is not None:
            off = 100 * (record.mean_cost / record.budget - 1)
            spent += f", {off:+.1f} % of the budget of {record.budget:.4g}"
        yield "spent", spent
        shares = (f"{point_label(n)} {share:.0%}" for n, share in record.share_of_points.items())
        yield "answers by", ", ".join(shares)
    if results.over_budget is not None:
        yield "", f"{results.over_budget:.1%} of the answers took longer than the budget"


def _accuracies(results: EvaluationResults) -> Table:
    title = f"accuracy ({score_text(results.score)})"
    table = Table(title=Text(title), title_justify="left", min_width=60, box=SQUARE)
    table.add_column("task", no_wrap=True)
    table.add_column("accuracy", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("n", justify="right")
    with_chance = results.chance is not None
    if with_chance:
        table.add_column("chance", justify="right")

    def add(name: str, accuracy: TaskAccuracy, style: str | None = None) -> None:
        low, high = accuracy.accuracy_ci95
        table.add_row(
            Text(name),
            percent_text(accuracy.accuracy),
            f"{percent_text(low)} to {percent_text(high)}",
            str(accuracy.num_samples),
            *([percent_text(accuracy.chance)] if with_chance else []),
            style=style,
        )

    tasks = results.accuracy_by_task
    if len(tasks) > 1:
        for name, accuracy in tasks.items():
            add(name, accuracy)
        table.add_section()
    assert results.accuracy is not None
    assert results.accuracy_ci95 is not None
    overall = TaskAccuracy(
        results.accuracy, results.accuracy_ci95, results.num_samples, results.chance
    )
    add("all", overall, style="bold")
    if results.mme is not None:
        table.caption = (
            f"MME perception {number_text(results.mme.perception)} of 2000, cognition "
            f"{number_text(results.mme.cognition)} of 800; {results.mme.num_images} images"
        )
        table.caption_justify = "left"
    return table


def _answers(samples: Sequence[SampleResult], width: int) -> Table:
    """A few questions and what became of them, a line each; every run on the same data shows the
    same.

    Args:
        samples: Samples of the run, at least one.
        width: Width of the console.
    """
    table = Table(title="some answers", title_justify="left", min_width=60, box=SQUARE)
    shown = worth_showing(samples)
    columns = {
        "question": [_one_line(sample.question) for sample in shown],
        "prediction": [_one_line(sample.prediction) for sample in shown],
        "answer": [_one_line(sample.answers[0]) for sample in shown],
    }
    # What frames and verdict leave: at most a quarter for either answer, the rest for the question.
    room = min(width, _WIDEST) - 13 - len("unread")
    left = room
    for title in ("answer", "prediction"):
        left -= min(room // 4, max(map(cell_len, [title, *columns[title]])))
    for title in columns:
        most = left if title == "question" else room // 4
        table.add_column(title, no_wrap=True, overflow="ellipsis", max_width=most)
    table.add_column("")
    for sample, texts in zip(shown, zip(*columns.values(), strict=True), strict=True):
        verdict = "unread" if sample.is_parsed is False else _VERDICTS.get(sample.accuracy)
        table.add_row(*map(Text, texts), verdict or percent_text(sample.accuracy))
    return table


def worth_showing(samples: Sequence[SampleResult]) -> list[SampleResult]:
    """A few samples of as many tasks as there are, chosen by their names alone, in the data set's
    order.

    Args:
        samples: Samples of a run.
    """
    order = sorted(samples, key=lambda sample: sha256(sample.sample_id.encode()).digest())
    seen: Counter[str] = Counter()
    ranked = []
    for sample in order:
        ranked.append((seen[sample.task], sample.sample_id))
        seen[sample.task] += 1
    # Stable: of samples that are equally many of their task, the order stays.
    chosen = {name for _, name in sorted(ranked, key=itemgetter(0))[:_MOST_ANSWERS]}
    return [sample for sample in samples if sample.sample_id in chosen]


def _one_line(text: str) -> str:
    """A text without line breaks, and without what a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or "(nothing)"


def _latencies(latency: LatencyResults) -> Table:
    answers = "the answers above" if latency.passes == "one" else "a pass of its own"
    length = "" if latency.output_tokens is None else f", {latency.output_tokens} tokens each"
    table = Table(
        title=f"latency in ms, one sample at a time ({answers}{length})",
        title_justify="left", min_width=60, box=SQUARE,
    )  # fmt: skip
    table.add_column("stage", no_wrap=True)
    for column in ("mean", "p50", "p95", "p99", "GFLOP"):
        table.add_column(column, justify="right")
    for name, label, flops in (
        ("T_vision_total", "vision", "flops_vision"),
        ("T_LLM_prefill", "prefill", "flops_prefill"),
        ("T_LLM_decode", "decode", "flops_decode"),
        ("T_decode_per_token", "decode, a token", None),
        ("T_total", "total", None),
    ):
        if name in latency.stages:
            times = latency.stages[name]
            operations = None if flops is None else latency.flops_mean.get(flops)
            table.add_row(
                label,
                *(number_text(value, 2) for value in (times.mean, times.p50, times.p95, times.p99)),
                number_text(None if operations is None else operations / 1e9, 2),
            )
    megabytes = latency.peak_memory_bytes / 2**20
    table.caption = (
        f"{latency.num_samples} samples, {latency.new_tokens_mean:.1f} tokens an answer, "
        f"{latency.repeats} repeats; peak memory {megabytes:.0f} MiB"
    )
    table.caption_justify = "left"
    return table


def _failures(results: EvaluationResults | ModelFreeResults) -> Table:
    table = Table(
        title=f"{results.num_failed} failed", title_justify="left", min_width=60, box=SQUARE
    )
    table.add_column("n", justify="right")
    table.add_column("reason", overflow="fold")
    kinds = _by_kind(results.failures)
    for kind, failures in kinds[:_MOST_REASONS]:
        alike = len({failure.reason for failure in failures}) == 1
        example = f"sample {failures[0].sample_id}"
        reason = failures[0].reason if alike else f"{kind}; the first is {example}"
        table.add_row(str(len(failures)), Text(reason))
    others = sum(len(failures) for _, failures in kinds[_MOST_REASONS:])
    if others:
        table.add_row(str(others), "other reasons; all are in the results file")
    return table


def _by_kind(failures: Sequence[Failure]) -> list[tuple[str, list[Failure]]]:
    """Failures whose reasons are the same but for the file and the numbers in them, the commonest
    kind first: what happened, and to whom.
    """
    kinds: dict[str, list[Failure]] = {}
    for failure in failures:
        what = _FILE.sub("", failure.reason)
        kinds.setdefault(_NUMBER.sub("N", what), []).append(failure)
    return sorted(kinds.items(), key=lambda kind: -len(kind[1]))


def score_text(name: str) -> str:
    """The name of a score as words; the import path of a user's own stays as it is."""
    return name if "." in name else name.replace("_", " ")
