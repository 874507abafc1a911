"""What others are told of the platform's events: their public types, and the message of one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import orjson

from mlengine.core.monitoring.event import Event, EventKind
from mlengine.core.timestamps import rfc3339

# An event whose kind is not here is told to nobody.
MESSAGE_TYPES: Mapping[EventKind, str] = MappingProxyType(
    {
        "trained": "model.trained",
        "train_failed": "train.failed",
        "train_lost": "train.lost",
        "train_cancelled": "train.cancelled",
        "train_skipped": "train.skipped",
        "train_requested": "train.requested",
        "activation_requested": "model.activation_requested",
        "activated": "model.activated",
        "rolled_back": "model.activated",
        "drift_alarm": "drift.alarm",
        "bars_revised": "bars.revised",
        "feed_stale": "feed.stale",
        "feed_fresh": "feed.fresh",
        "model_ageing": "model.ageing",
        "hook_disabled": "hook.disabled",
        "skill_lost": "skill.lost",
        "skill_proven": "skill.proven",
    }
)
TEST_TYPE = "hook.test"
# No events of the history: there may be one a minute.
SCORED_TYPE, SIGNALS_READY_TYPE = "prediction.scored", "signals.ready"
ALL_TYPES: tuple[str, ...] = tuple(
    sorted({SCORED_TYPE, SIGNALS_READY_TYPE, *MESSAGE_TYPES.values()})
)


@dataclass(frozen=True)
class Message:
    """One message of the outbox; `seq` orders all of a platform, `body` is JSON."""

    seq: int
    type: str
    at: datetime
    body: str


def body_of(event: Event, message_type: str) -> str:
    """The JSON text of the message of an event: its type, its moment and the event as `data`."""
    data = {
        "kind": event.kind,
        "model": event.model,
        "version": event.version,
        "actor": event.actor,
        "details": event.details,
    }
    return _json(message_type, event.at, data)


def scored_body(line: str, version: str, details: Mapping[str, object], at: datetime) -> str:
    """The JSON text of the message that outcomes of a version's predictions were found."""
    return _json(SCORED_TYPE, at, _of_version("predictions_scored", line, version, details))


def signals_ready_body(line: str, version: str, details: Mapping[str, object], at: datetime) -> str:
    """The JSON text of the message that a bar was scored, of which `version` is the champion."""
    return _json(SIGNALS_READY_TYPE, at, _of_version("signals_ready", line, version, details))


def _of_version(
    kind: str, line: str, version: str, details: Mapping[str, object]
) -> Mapping[str, object]:
    return {"kind": kind, "model": line, "version": version, "actor": None, "details": details}


def test_body(hook_id: str, actor: str, at: datetime) -> str:
    """The JSON text of the message that tries a webhook."""
    data = {"kind": "hook_test", "version": None, "actor": actor, "details": {"hook": hook_id}}
    return _json(TEST_TYPE, at, data)


def _json(message_type: str, at: datetime, data: Mapping[str, object]) -> str:
    message = {"type": message_type, "timestamp": rfc3339(at), "data": data}
    return orjson.dumps(message).decode()


def family_of(message_type: str) -> str:
    """The pattern that asks for all types of its first word: `model.*` of `model.trained`."""
    return f"{message_type.partition('.')[0]}.*"


def is_type_or_family(text: str) -> bool:
    """Whether a message can be asked for by this text."""
    return text in ALL_TYPES or text in {family_of(each) for each in ALL_TYPES}


def is_asked_for(message_type: str, asked: Collection[str]) -> bool:
    """Whether one of the types or families in `asked` is meant; all are where it is empty."""
    return not asked or message_type in asked or family_of(message_type) in asked
