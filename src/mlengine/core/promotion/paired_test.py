"""The gate's test on the losses of two models on the same rows."""

from mlengine.core.arrays import Floats, Moments
from mlengine.core.metrics.session_dates import mean_by_session, steps_to_label_end
from mlengine.core.promotion.diebold_mariano import (
    DieboldMariano,
    degrees_of_blocks,
    diebold_mariano,
)
from mlengine.core.promotion.gate import GateTest, significance_level


def paired_test(
    timestamps: Moments, label_ends: Moments, *, champion: Floats, challenger: Floats
) -> DieboldMariano:
    """Whether the challenger's losses are smaller, by session date.

    All arrays are (rows,); moments are microseconds of the epoch.
    """
    return paired_test_of_steps(
        timestamps,
        steps_to_label_end(timestamps, label_ends),
        champion=champion,
        challenger=challenger,
    )


def paired_test_of_steps(
    timestamps: Moments, steps_ahead: int, *, champion: Floats, challenger: Floats
) -> DieboldMariano:
    """As `paired_test`, where the session dates from a forecast to its outcome are known."""
    differences = mean_by_session(timestamps, champion - challenger)
    degrees = degrees_of_blocks(len(differences), steps_ahead=steps_ahead)
    return diebold_mariano(differences, steps_ahead=steps_ahead, degrees=degrees)


def gate_test(test: DieboldMariano, *, rows: int, decisions: int) -> GateTest:
    """`test` as the `decisions`-th one against the same champion."""
    return GateTest(
        dates=test.dates,
        rows=rows,
        mean_difference=test.mean_difference,
        statistic=test.statistic,
        p_value=test.p_value,
        level=significance_level(decisions),
        decisions=decisions,
        kernel=test.kernel,
        lags=test.lags,
    )
