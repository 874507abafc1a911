"""The bars behind all answers."""

from flask import Blueprint, Response, jsonify

from mlengine.core.bars.quality import SeriesQuality
from mlengine.web.http.auth import open_by_default
from mlengine.web.http.contract import says
from mlengine.web.http.problem_groups import UPSTREAM
from mlengine.web.http.requests import asked_line, load_query, request_time
from mlengine.web.schemas.bars import QualityQuery

blueprint = Blueprint("bars", __name__, url_prefix="/bars")

_QUALITY_QUERY = QualityQuery()


@blueprint.get("/quality")
@open_by_default("read")
@says(query=_QUALITY_QUERY, answers={200: SeriesQuality}, problems=UPSTREAM)
def quality() -> Response:
    """Measure the bars of a symbol that a training would take.

    As the upstream serves them now. `status` is `ok`, `suspect` or `refused`, and `reasons` say
    why: `bars_dropped` (over 5 % of the rows), `bars_missing` (over 5 % of the bars that the
    calendar expects, over 15 % where it knows no holidays), `hole_in_window` and `hole_in_history`
    (three bars or more in a row, and over three times the longest gap of an ordinary day; a day's
    breaks and holidays aside), `unexplained_jump` (a split that nobody adjusted for, from four to
    one on whatever the volume, or prices that are wrong by a factor), `repeated_bars` (five in a
    row, or over 5 %, are the bar before again in prices and volume) and `no_volume` (it ended).
    `currency` is that of `symbols.csv`. `examples` has the first row behind each count, and
    `missed_bars` counts those that were expected since the newest. With `MARKET_DATA_ADJUST` bars
    are adjusted, and those of an earlier name of the symbol count too. `mlengine bars check` prints
    the same for many symbols, or for a folder of files with `--data`.
    """
    query = load_query(_QUALITY_QUERY)
    return jsonify(asked_line().bar_quality.check_training_bars(**query, now=request_time()))
