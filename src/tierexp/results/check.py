"""One target, and what was found. Knows no results."""

from __future__ import annotations

from dataclasses import dataclass

_MOST_DIGITS = 12


@dataclass(frozen=True)
class Check:
    """A target of the design, met or missed.

    Args:
        name: What is checked, such as `mismatch_p95` or `accuracy_low_to_medium`.
        figure: The number that was found.
        ci95: Its 95 % bootstrap interval; images are drawn, with all questions about them.
        target: The bound.
        above: Whether the number has to be above the bound, not below it.
        num_samples: That the number is of.
        num_images: That they are about.
    """

    name: str
    figure: float
    ci95: tuple[float, float]
    target: float
    above: bool
    num_samples: int
    num_images: int

    @property
    def met(self) -> bool:
        """Whether the number itself, whatever its interval, meets the target."""
        return self.figure > self.target if self.above else self.figure < self.target

    @property
    def uncertain(self) -> bool:
        """Whether the interval spans the target: other images might have decided otherwise."""
        low, high = self.ci95
        return low <= self.target <= high

    @property
    def verdict(self) -> str:
        """`met` or `missed`, and whether that is uncertain."""
        return ("met" if self.met else "missed") + (", uncertain" if self.uncertain else "")

    @property
    def words(self) -> tuple[str, str, str, str, str]:
        """(name, number, interval, target, verdict), for people. Numbers have three digits, or as
        many as it takes to tell them from the target.
        """
        low, high = self.ci95
        return (
            self.name.replace("_", " "),
            self._text(self.figure),
            f"{self._text(low)} to {self._text(high)}",
            f"{'>' if self.above else '<'} {self.target:g}",
            self.verdict,
        )

    def _text(self, value: float) -> str:
        digits = 3
        while digits < _MOST_DIGITS and _told_alike(value, self.target, digits):
            digits += 1
        return f"{value:.{digits}f}"


def _told_alike(value: float, target: float, digits: int) -> bool:
    return value != target and f"{value:.{digits}f}" == f"{target:.{digits}f}"
