"""What a folder's `bars.toml` may say."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mlengine.core.calendars.market import Market, MarketDirectory
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.files import FilesMarketData
from mlengine.stores.market_data.tables.settings import TableSettings, read_settings

EVER = {"start": datetime(1970, 1, 1, tzinfo=UTC), "end": datetime(2100, 1, 1, tzinfo=UTC)}
HEADER = "symbol,datetime,open,high,low,close,volume\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zon = 'UTC'", "bars.toml: zon = 'UTC': no such key; one of columns, zone, date_format"),
        ("zone = 'Mars/Base'", "bars.toml: zone = 'Mars/Base': no name of a timezone"),
        ("zone = 1", "bars.toml: zone = 1: no text"),
        ("decimal = ';'", "bars.toml: decimal = ';': not . or ,"),
        ("unit = 'm'", "bars.toml: unit = 'm': not s or ms or us or ns"),
        ("stamp = 'close'", "bars.toml: stamp = 'close': not start or end"),
        ("adjusted = 1", "bars.toml: adjusted = 1: not true or false"),
        ("columns = 'a,b'", "bars.toml: columns = 'a,b': neither a list of names nor a table"),
        ("columns.prize = 'a'", "bars.toml: columns.prize = 'a': no such column; one of adjusted_"),
        ("columns.open = 1", "bars.toml: columns.open = 1: no name"),
        ("files = 1", "bars.toml: files is not a table of patterns"),
        ("[files.'A*']\nzon = 1", "bars.toml: files.'A*'.zon = 1: no such key"),
        ("zone =", "bars.toml is no TOML: "),
    ],
)
def test_a_bad_key_or_value_refuses_the_folder_by_name(tmp_path, text, message):
    (tmp_path / "AAA.csv").write_text("date,open,high,low,close,volume\n2024-01-02,1,1,1,1,1\n")
    (tmp_path / "bars.toml").write_text(text)
    market = FilesMarketData(tmp_path)
    with pytest.raises(UpstreamInvalid) as caught:
        market.candles("AAA", "1d", **EVER)
    assert caught.value.reason.startswith(message)
    assert market.refused_files() == [("bars.toml", caught.value.reason)]
    (tmp_path / "bars.toml").unlink()
    assert market.candles("AAA", "1d", **EVER).height == 1
    assert market.refused_files() == []


def test_a_later_pattern_counts_more(tmp_path):
    (tmp_path / "bars.toml").write_text(
        "zone = 'Asia/Tokyo'\nunit = 's'\n[files.'*.csv']\nunit = 'ms'\n[files.'A*']\nunit = 'us'\n"
    )
    settings = read_settings(tmp_path, TableSettings(adjusted=True))
    units = {name: settings.of(name).unit for name in ("A.csv", "B.csv", "B.parquet")}
    assert units == {"A.csv": "us", "B.csv": "ms", "B.parquet": "s"}
    assert settings.of("A.csv") == TableSettings(zone="Asia/Tokyo", unit="us", adjusted=True)


def test_columns_have_the_names_that_are_stated(tmp_path):
    (tmp_path / "AAA.csv").write_text(
        "Zeit;Eroeffnung;Hoch;Tief;Schluss;Stueck\n02.01.2024 09:00;1,5;2,5;0,5;2,25;100\n"
    )
    (tmp_path / "bars.toml").write_text(
        "date_format = '%d.%m.%Y %H:%M'\nzone = 'Europe/Berlin'\n[columns]\n"
        "timestamp = 'Zeit'\nopen = 'Eroeffnung'\nhigh = 'Hoch'\nlow = 'Tief'\n"
        "close = 'Schluss'\nvolume = 'Stueck'\n"
    )
    candles = FilesMarketData(tmp_path).candles("AAA", "1h", **EVER)
    assert candles["timestamp"].to_list() == [datetime(2024, 1, 2, 8, tzinfo=UTC)]
    assert candles.select("open", "high", "low", "close", "volume").rows() == [
        (1.5, 2.5, 0.5, 2.25, 100.0)
    ]


@pytest.mark.parametrize(
    ("toml", "hours"),
    [("", {"T": 0, "N": 14, "U": 8}), ("zone = 'UTC'", {"T": 9, "N": 9, "U": 9})],
)
def test_times_that_state_no_zone_are_in_that_of_their_symbol(tmp_path, toml, hours):
    markets = MarketDirectory(
        {
            "T": Market("T", timezone=ZoneInfo("Asia/Tokyo")),
            "N": Market("N", timezone=ZoneInfo("America/New_York"), aliases=("N2",)),
        },
        default_timezone=ZoneInfo("Europe/Berlin"),
    )
    table = "".join(f"{name},2024-01-02 09:00:00,1,1,1,1,1\n" for name in hours)
    (tmp_path / "all.csv").write_text(HEADER + table)
    (tmp_path / "bars.toml").write_text(toml)
    market = FilesMarketData(tmp_path, markets=markets)
    read = {name: market.candles(name, "1h", **EVER)["timestamp"][0].hour for name in hours}
    assert read == hours
