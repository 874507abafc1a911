"""The route that everything is compared with: an empty Flask application that answers JSON."""

from __future__ import annotations

from flask import Flask

app = Flask("bare")


@app.get("/bare")
def bare() -> dict[str, object]:
    return {"symbol": "AAPL", "probability_up": 0.5, "prediction": "up"}
