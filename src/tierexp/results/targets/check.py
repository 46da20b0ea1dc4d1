"""One target, and what was found. Knows no results."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A target of the design, met or missed.

    Args:
        name: What is checked, such as `mismatch_p95` or `accuracy_low_to_medium`.
        figure: What was found.
        ci95: Its 95 % bootstrap interval; images are drawn, with all questions about them.
        target: The bound.
        above: Whether the figure has to be above the bound, not below it.
        num_samples: That the figure is of.
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
        """Whether the figure itself, whatever its interval, meets the target."""
        return self.figure > self.target if self.above else self.figure < self.target

    @property
    def words(self) -> tuple[str, str, str, str, str]:
        """(name, figure, interval, target, verdict), for people."""
        low, high = self.ci95
        return (
            self.name.replace("_", " "),
            f"{self.figure:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{'>' if self.above else '<'} {self.target:g}",
            "met" if self.met else "missed",
        )
