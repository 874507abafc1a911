from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from mlengine.errors import BadSetting
from mlengine.stores.market_data.credentials import Credentials, read_credentials


def read(
    key: str | None = "s3cret",
    header: str | None = None,
    parameter: str | None = None,
    headers_file: Path | None = None,
) -> Credentials:
    return read_credentials(key=key, header=header, parameter=parameter, headers_file=headers_file)


def test_a_key_goes_where_it_is_wanted() -> None:
    assert read().headers == {"Authorization": "Bearer s3cret"}
    assert read(header="X-API-Key").headers == {"X-API-Key": "s3cret"}
    by_parameter = read(parameter="apikey")
    assert (by_parameter.headers, by_parameter.parameters) == ({}, {"apikey": "s3cret"})
    assert read(None) == Credentials()


def test_a_file_adds_headers(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_text("# of the broker\nAPCA-API-KEY-ID: k1\n\nX-Long:\ttwo words \n")
    assert read(headers_file=path).headers == {
        "APCA-API-KEY-ID": "k1",
        "X-Long": "two words",
        "Authorization": "Bearer s3cret",
    }


@pytest.mark.parametrize("line", ["s3cret", "X Y: s3cret", "X-Key: s3cret\x07", ": s3cret", "X:"])
def test_a_bad_line_is_named_and_not_repeated(tmp_path: Path, line: str) -> None:
    path = tmp_path / "headers"
    path.write_text(f"A: b\n{line}\n")
    with pytest.raises(BadSetting, match="line 2") as refused:
        read(headers_file=path)
    assert "s3cret" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="MARKET_DATA_HEADERS_FILE"):
        read(headers_file=tmp_path / "none")


def test_no_value_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_text("X-Token: t0ken with blanks\n")
    credentials = read(parameter="apikey", headers_file=path)
    assert "s3cret" not in repr(credentials)
    said = "your key s3cret and token t0ken with blanks are wrong"
    assert credentials.redact(said) == "your key … and token … are wrong"


def test_a_key_that_comes_back_is_redacted_however_it_is_written():
    key = "SeCr+/eT=="
    credentials = Credentials(parameters={"apikey": key}, key=key)
    for written in (key, quote(key, safe=""), quote(key).lower(), key.replace("/", r"\/"),
                    key.replace("+", r"\u002B")):  # fmt: skip
        assert credentials.redact(f"bad key {written} of yours") == "bad key … of yours"
