"""How far a training is: stages of fixed weight, an overall percent that never goes down."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

# (stage, percent at which it begins); the last one ends at 100.
STAGES = {"bars": 0.0, "features": 10.0, "folds": 15.0, "fit": 75.0, "publish": 95.0}
_ENDS = dict(zip(STAGES, [*list(STAGES.values())[1:], 100.0], strict=True))
_ITERATIONS_A_REPORT = 10


@dataclass(frozen=True)
class Progress:
    """One report; `fold` counts from 1, `iteration` is the boosting round of the current fit.

    At the stage PUBLISHING the run is past its last point of return.
    """

    PUBLISHING: ClassVar[str] = "publishing"

    stage: str
    percent: float
    fold: int | None = None
    folds: int | None = None
    iteration: int | None = None


def ignore_progress(progress: Progress) -> None:
    """For callers that don't look."""


@dataclass
class ProgressTracker:
    """Turns what the pipeline has done into reports; whatever `report` raises ends the run."""

    report: Callable[[Progress], None]
    _percent: float = field(default=0.0, init=False)
    _newest: Progress = field(default=Progress("bars", 0.0), init=False)

    def advance(
        self,
        stage: str,
        *,
        done: float = 0.0,
        fold: int | None = None,
        folds: int | None = None,
        iteration: int | None = None,
    ) -> None:
        """Report that the share `done` (0 to 1) of `stage` is behind us."""
        percent = STAGES[stage] + (_ENDS[stage] - STAGES[stage]) * min(max(done, 0.0), 1.0)
        self._percent = max(self._percent, round(percent, 2))
        self._newest = Progress(stage, self._percent, fold, folds, iteration)
        self.report(self._newest)

    def repeat(self) -> None:
        """Report once more what was reported last, where nothing moves on."""
        self.report(self._newest)

    def round_callback(
        self, stage: str, *, of: int, fold: int | None = None, folds: int | None = None
    ) -> Callable[[int], None]:
        """A callback for the boosting rounds of one fit, `of` of them at most."""
        first, parts = (fold or 1) - 1, folds or 1

        def on_iteration(iteration: int) -> None:
            if iteration == 1 or iteration % _ITERATIONS_A_REPORT == 0:
                done = (first + iteration / of) / parts
                self.advance(stage, done=done, fold=fold, folds=folds, iteration=iteration)

        return on_iteration
