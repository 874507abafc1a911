from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from mlengine.web.http.responses import encode


def test_floats_are_shortest_and_never_nan() -> None:
    values = [0.1 + 0.2, 1 / 3, 1e-300, float("nan"), float("inf"), -float("inf"), np.float64(0.1)]
    assert encode(values) == b"[0.30000000000000004,0.3333333333333333,1e-300,null,null,null,0.1]"


def test_moments_are_utc_with_z() -> None:
    moment = datetime(2024, 5, 31, 12, tzinfo=UTC)
    zones = [UTC, ZoneInfo("UTC"), ZoneInfo("America/New_York"), timezone(timedelta(hours=9))]
    assert {encode(moment.astimezone(zone)) for zone in zones} == {b'"2024-05-31T12:00:00Z"'}


def test_what_has_no_json_form_is_refused() -> None:
    for value in (datetime(2024, 5, 31), object(), b"x"):  # noqa: DTZ001
        with pytest.raises(TypeError):
            encode(value)
