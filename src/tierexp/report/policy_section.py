"""What the report's page says of policies: replays beside the runs they were made from, and runs
in which a policy chose.

In: a folder with `replay.json` files, and results. Out: tables, and examples with what decided
them, as text for the template. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tierexp.errors import DataError
from tierexp.policies.reasons import Example, Reason
from tierexp.policies.replay_results import FILE_NAME, SCHEMA_VERSION, ReplayResults
from tierexp.report.page_tables import Cell, PageTable, table
from tierexp.results.files import read_results
from tierexp.results.policy_record import PolicyRecord, point_label
from tierexp.results.schema import EvaluationResults

HEAD = ("policy", "mean cost", "accuracy", "95 % interval", "above mixture", "budget",
        "answers by")  # fmt: skip


@dataclass(frozen=True)
class Card:
    """One question that a router sent up or down.

    Args:
        question: Its words.
        sent: Where it was sent.
        chances: (point, chance of a right answer).
        reasons: What decided, the strongest first.
    """

    question: str
    sent: str
    chances: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...]


def replays_in(folder: Path, runs: Sequence[EvaluationResults]) -> list[ReplayResults]:
    """The replays in or below a folder, by policy.

    Args:
        folder: With results.
        runs: That are in it.

    Raises:
        DataError: A replay of another version, or about other data or another model.
    """
    found = []
    for file in sorted(folder.rglob(FILE_NAME)):
        replay = read_results(ReplayResults, SCHEMA_VERSION, file)
        about, here = (replay.dataset, replay.model), (runs[0].dataset, runs[0].model)
        if replay.model is not None and about != here:
            said = f"{' of '.join(map(str, about))}, the runs about {' of '.join(here)}"
            raise DataError(f"{file} is about {said}: keep it in another folder")
        found.append(replay)
    return sorted(found, key=lambda replay: replay.at_budget.policy)


def record_tables(
    replays: Sequence[ReplayResults], runs: Sequence[EvaluationResults]
) -> Iterator[PageTable]:
    """The policies of every replay beside its points, and what runs spent."""
    for replay in replays:
        yield table(
            f"{replay.at_budget.policy}, replayed on {replay.num_samples} questions, "
            f"costs in {replay.at_budget.unit}",
            HEAD, [_row(record) for record in (*replay.points, replay.at_budget)],
        )  # fmt: skip
    spent = [record for run in runs for record in run.policies]
    for unit in dict.fromkeys(record.unit for record in spent):
        rows = [_row(record) for record in spent if record.unit == unit]
        yield table(f"Runs with a policy, costs in {unit}", HEAD, rows)


def beside_points(replays: Sequence[ReplayResults]) -> Iterator[PageTable]:
    """Every policy beside each static point, given that point's mean cost, paired."""
    for replay in replays:
        rows: list[list[str | Cell]] = []
        for one in (*replay.against_points, *replay.against):
            low, high = (100 * end for end in one.ci95)
            sure = "met" if low > 0 else "missed" if high < 0 else ""
            rows.append(
                [
                    point_label(one.other), _amount(one.other_cost), _amount(one.mean_cost),
                    (f"{100 * one.difference:+.1f} points", sure), f"{low:+.1f} to {high:+.1f}",
                ]
            )  # fmt: skip
        head = ["beside", "its mean cost", "the policy's", "difference", "95 % interval"]
        yield table(f"{replay.at_budget.policy}, by {replay.at_budget.unit}", head, rows)


def area_lines(replays: Sequence[ReplayResults]) -> list[str]:
    """How much of what there is to win each policy wins, and what it says of itself."""
    lines = []
    for replay in replays:
        area = replay.area
        low, high = area.share_ci95
        line = (
            f"{replay.at_budget.policy}: {area.share:.1%} ({low:.1%} to {high:.1%}) of the area "
            f"between the mixture and the oracle"
        )
        if replay.over_budget is not None:
            line += f"; {replay.over_budget:.1%} of the answers took longer than the budget"
        lines.append("; ".join([line, *replay.notes]))
    return lines


def example_cards(replays: Sequence[ReplayResults]) -> list[Card]:
    """Questions that routers sent to their dearest and cheapest points, and why."""
    return [
        _card(example, replay.at_budget.points) for replay in replays for example in replay.examples
    ]


def _card(example: Example, points: Sequence[str]) -> Card:
    way = "up" if example.point == points[-1] else "down"
    return Card(
        question=example.question,
        sent=f"sent {way}, to {point_label(example.point)}",
        chances=tuple((point_label(name), f"{c:.0%}") for name, c in example.chances.items()),
        reasons=tuple(map(_reason, example.reasons)),
    )


def _reason(reason: Reason) -> str:
    name = reason.feature.replace("_", " ")
    if name.startswith("word "):
        asks = "the question says" if reason.value else "the question does not say"
        return f"{asks} “{name.removeprefix('word ')}”"
    return f"{name} is {reason.value:.3g}, usually {reason.usual:.3g}"


def _row(record: PolicyRecord) -> list[str | Cell]:
    low, high = record.ci95
    above = record.above_mixture
    shares = [
        f"{point_label(name)} {share:.0%}"
        for name, share in record.share_of_points.items()
        if share
    ]
    return [
        point_label(record.policy), _amount(record.mean_cost),
        f"{record.accuracy:.1%}", f"{low:.1%} to {high:.1%}",
        "-" if above is None else f"{100 * above:+.1f} points",
        "-" if record.budget is None else _amount(record.budget), (", ".join(shares), "text"),
    ]  # fmt: skip


def _amount(cost: float) -> str:
    return f"{cost:,.1f}" if cost < 1e6 else f"{cost:.3g}"
