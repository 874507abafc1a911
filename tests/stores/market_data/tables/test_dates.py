"""Dates of statistics packages, databases and mails; and those that a spreadsheet has changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from tests.written_tables import DAYS, HOURS, MIDNIGHTS, ROWS, dated, lines, read

from mlengine.errors import UpstreamInvalid

HEADER = "Date;Open;High;Low;Close;Volume"
LONG = [date(2024, 1, 5) + timedelta(days=17 * i) for i in range(20)]


def written(days: list[date], forms: list[str]) -> str:
    cells = [(f"{day:{form}}", *ROWS[0]) for day, form in zip(days, forms, strict=True)]
    return lines(cells, HEADER, ";")


@pytest.mark.parametrize(
    "form", ["%d%b%Y", "%a, %d %b %Y", "%A, %B %d, %Y", "%a %d %B %Y", "%A %Y-%m-%d"]
)
def test_dates_of_statistics_packages_and_mails_are_read(tmp_path, form):
    (tmp_path / "AAA.csv").write_text(lines(dated(form=form), HEADER, ";"))
    assert read(tmp_path)["timestamp"].to_list() == MIDNIGHTS
    upper = [(row[0].upper(), *row[1:]) for row in dated(form="%d%b%Y")]
    (tmp_path / "AAA.csv").write_text(lines(upper, HEADER, ";"))
    assert read(tmp_path)["timestamp"].to_list() == MIDNIGHTS


@pytest.mark.parametrize(
    "form",
    [
        "%d%b%Y:%H:%M:%S",
        "%Y.%m.%dD%H:%M:%S.000000000",
        "%Y-%m-%dT%H:%M:%SZ[UTC]",
        "%a %d %b %Y %H:%M",
    ],
)
def test_moments_of_databases_are_read(tmp_path, form):
    cells = [(at.strftime(form), *row) for at, row in zip(HOURS, ROWS, strict=True)]
    (tmp_path / "AAA.csv").write_text(lines(cells, HEADER, ";"))
    assert read(tmp_path, interval="1h")["timestamp"].to_list() == HOURS


def test_an_offset_counts_more_than_the_zone_that_is_named_behind_it(tmp_path):
    """They differ in no row but those of the hour that comes twice."""
    at = [datetime(2024, 11, 3, 5, 30, tzinfo=UTC) + timedelta(hours=i) for i in range(3)]
    texts = ["01:30:00-04:00", "01:30:00-05:00", "02:30:00-05:00"]
    cells = [(f"2024-11-03T{text}[America/New_York]", *ROWS[0]) for text in texts]
    (tmp_path / "AAA.csv").write_text(lines(cells, HEADER, ";"))
    assert read(tmp_path, interval="1h")["timestamp"].to_list() == at


@pytest.mark.parametrize(
    ("taken", "left"),
    [("%Y-%d-%m", "%d/%m/%Y"), ("%Y/%d/%m", "%m-%d-%Y")],
)
def test_days_that_a_spreadsheet_has_taken_for_months_are_refused(tmp_path, taken, left):
    """It leaves 13/01/2024 as text, and makes the 1st of February of the 2nd of January."""
    forms = [taken if day.day <= 12 else left for day in LONG]
    (tmp_path / "AAA.csv").write_text(written(LONG, forms))
    with pytest.raises(UpstreamInvalid) as refused:
        read(tmp_path)
    assert "the file 'AAA.csv', line " in refused.value.reason
    assert "column 'Date', value " in refused.value.reason
    assert "date_format" in refused.value.reason


@pytest.mark.parametrize("first", ["%Y-%m-%d", "%d %B %Y"])
def test_a_file_that_changes_its_form_of_dates_is_read(tmp_path, first):
    (tmp_path / "AAA.csv").write_text(written(LONG, [first] * 9 + ["%d/%m/%Y"] * 11))
    assert read(tmp_path)["timestamp"].dt.date().to_list() == LONG


def test_a_few_dates_of_another_form_are_no_sign_of_a_spreadsheet(tmp_path):
    days = [*DAYS[5:15], date(2025, 1, 14), date(2025, 1, 15)]
    (tmp_path / "AAA.csv").write_text(written(days, ["%Y-%m-%d"] * 10 + ["%d/%m/%Y"] * 2))
    assert read(tmp_path)["timestamp"].dt.date().to_list() == days
