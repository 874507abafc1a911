"""The panel of signals as a table, with what was said of a bar before what is said of the past."""

import polars as pl

from mlengine.core.bars.bars import TIMESTAMP

# The fields of a Signal.
PANEL_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "bar_timestamp": TIMESTAMP,
    "symbol": pl.String,
    "model_version": pl.String,
    "source": pl.String,
    "score": pl.Float64,
    "prediction": pl.String,
    "in_sample": pl.Boolean,
    "usable": pl.Boolean,
    "reasons": pl.List(pl.String),
    "error": pl.String,
    "prediction_id": pl.String,
    "answered_at": TIMESTAMP,
}
_KEY = ("bar_timestamp", "symbol")


def merge_panels(scheduled: pl.DataFrame, past: pl.DataFrame) -> pl.DataFrame:
    """One row a bar and symbol, in this order; that of `scheduled` where both have one."""
    further = past.join(scheduled, on=_KEY, how="anti")
    return pl.concat([scheduled, further]).sort(_KEY, maintain_order=True)


def past_panel(
    rows: pl.DataFrame, *, version: str, source: str, objective: str, made_at: object
) -> pl.DataFrame:
    """The panel of rows (timestamp, symbol, score) that `version` had not seen.

    Up is a probability from 0.5 on, else a score above zero.
    """
    score = pl.col("score")
    is_up = score >= 0.5 if objective == "direction" else score > 0.0
    known = {
        "bar_timestamp": pl.col("timestamp"),
        "model_version": pl.lit(version),
        "source": pl.lit(source),
        "prediction": pl.when(is_up).then(pl.lit("up")).otherwise(pl.lit("down")),
        "in_sample": pl.lit(False),
        "answered_at": pl.lit(made_at),
        **{name: pl.lit(None) for name in ("usable", "reasons", "error", "prediction_id")},
    }
    panel = rows.select("symbol", "score", **known)
    return panel.select(pl.col(name).cast(kind) for name, kind in PANEL_SCHEMA.items())
