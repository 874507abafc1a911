"""Write tests/golden/exchange_sessions, by the package exchange_calendars.

It brings pandas, so it is installed for this alone, in an environment that is thrown away:

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install exchange_calendars
    /tmp/oracle/bin/python scripts/exchange_sessions.py
"""

from __future__ import annotations

import hashlib
import json
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path

import exchange_calendars

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden" / "exchange_sessions"
FIRST, LAST = date(2016, 1, 1), date(2026, 12, 31)
# Another code of the same market in that package.
CODES = {"XNAS": "XNYS", "XNSE": "XBOM", "XSHE": "XSHG"}
NAMES = [
    "XAMS",
    "XASX",
    "XBOM",
    "XBRU",
    "XETR",
    "XHKG",
    "XKRX",
    "XLIS",
    "XLON",
    "XMIL",
    "XNAS",
    "XNSE",
    "XNYS",
    "XNZE",
    "XPAR",
    "XSHE",
    "XSHG",
    "XSWX",
    "XTKS",
    "XTSE",
    "XWAR",
]


def main() -> None:
    """Write the file, and what it is of."""
    text = json.dumps({name: exchange(name) for name in NAMES}, indent=0) + "\n"
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "sessions.json").write_text(text, encoding="utf-8")
    metadata = {
        "made_by": "scripts/exchange_sessions.py",
        "from": f"exchange_calendars {version('exchange_calendars')}",
        "sessions": f"{FIRST} to {LAST}",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    (FOLDER / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")


def exchange(name: str) -> dict[str, object]:
    """The weekdays without a session, the sessions on weekends, and the early closes (local)."""
    calendar = exchange_calendars.get_calendar(CODES.get(name, name), start=FIRST, end=LAST)
    sessions = {moment.date() for moment in calendar.sessions}
    days = [FIRST + timedelta(days=day) for day in range((LAST - FIRST).days + 1)]
    closes = calendar.schedule["close"].dt.tz_convert(calendar.tz)
    return {
        "closures": [str(day) for day in days if day.weekday() < 5 and day not in sessions],
        "weekend_sessions": sorted(str(day) for day in sessions if day.weekday() >= 5),
        "early_closes": {str(day.date()): f"{closes[day]:%H:%M}" for day in calendar.early_closes},
    }


if __name__ == "__main__":
    main()
