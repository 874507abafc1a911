"""What happened on the rows of a test part, and what was known without any feature."""

from dataclasses import dataclass

import numpy as np

from mlengine.core.arrays import Floats, Ints, Moments


@dataclass(frozen=True)
class Baseline:
    """What a forecaster without features would have learnt from the training part.

    `up_rate` is the share of rises, `mean_label` the mean of what a `return` model is fitted to.
    """

    up_rate: float
    mean_label: float


@dataclass(frozen=True)
class Actuals:
    """What happened on some rows, all arrays of one length.

    `labels` is what the model was fitted to, `last_returns` each row's own newest one-bar return,
    `timestamps` and `label_ends` (the last bar that the label used) microseconds of the epoch,
    `symbols` any numbers that tell symbols apart. A symbol has one row a timestamp.
    """

    forward_returns: Floats
    labels: Floats
    last_returns: Floats
    timestamps: Moments
    label_ends: Moments
    symbols: Ints

    @property
    def actual_up(self) -> Floats:
        return (self.forward_returns > 0.0).astype(np.float64)


def baseline(forward_returns: Floats, labels: Floats | None = None) -> Baseline:
    """The up rate and mean label of the training part; without labels, the mean return."""
    learnt = forward_returns if labels is None else labels
    return Baseline(up_rate=float(np.mean(forward_returns > 0.0)), mean_label=float(learnt.mean()))
