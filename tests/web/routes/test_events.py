from __future__ import annotations

from flask.testing import FlaskClient
from tests.web.answers import DAY
from tests.web.conftest import MakeApp
from tests.web.http.test_errors import problem
from tests.web.platform import FakePlatform

from mlengine.core.monitoring.messages import Message
from mlengine.web.serving.streams.places import places_of

TYPES = ("model.trained", "bars.revised", "hook.test", "model.activated")


def _fill(tiny: FakePlatform) -> None:
    tiny.control.outbox.messages.extend(
        Message(number, name, DAY, f'{{"n":{number}}}') for number, name in enumerate(TYPES, 1)
    )


def test_who_comes_back_gets_what_came_since(client: FlaskClient, tiny: FakePlatform) -> None:
    _fill(tiny)
    answer = client.get("/events", headers={"Last-Event-ID": "1"})
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert answer.get_data(as_text=True) == (
        "retry: 2000\n\n"
        'id: 2\nevent: bars.revised\ndata: {"n":2}\n\n'
        'id: 4\nevent: model.activated\ndata: {"n":4}\n\n'
    )
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_stream_begins_with_what_comes_next(client: FlaskClient, tiny: FakePlatform) -> None:
    _fill(tiny)
    for headers in ({}, {"Last-Event-ID": ""}, {"Last-Event-ID": "99"}):
        assert client.get("/events", headers=headers).data == b"retry: 2000\n\n"
    assert client.head("/events").data == b""


def test_only_the_types_that_are_asked_for_come(client: FlaskClient, tiny: FakePlatform) -> None:
    _fill(tiny)
    query = "/events?types=bars.revised,%20train.*"
    said = client.get(query, headers={"Last-Event-ID": "0"}).get_data(as_text=True)
    assert said.count("event:") == 1
    assert "event: bars.revised" in said


def test_what_is_no_type_and_no_id_is_refused(client: FlaskClient) -> None:
    refused = problem(client.get("/events?types=model.baked"), 422, "invalid_request")
    assert "types" in refused["errors"]
    bad = client.get("/events", headers={"Last-Event-ID": "one"})
    assert "Last-Event-ID" in problem(bad, 422, "invalid_request")["errors"]


def test_one_stream_too_many_is_503(make_app: MakeApp) -> None:
    app = make_app()
    places = places_of(app)
    assert places is not None
    while places.take():
        pass
    answer = app.test_client().get("/events")
    problem(answer, 503, "too_many_streams")
    assert answer.headers["Retry-After"] == "5"
