"""What the routes of webhooks take and answer."""

import re
from typing import Literal, TypedDict

from marshmallow import fields, validate

from mlengine.core.monitoring.messages import ALL_TYPES, family_of
from mlengine.errors import HookNotFound
from mlengine.services.hooks.service import HookStatus
from mlengine.web.schemas.fields import RequestSchema, TimeBound

HOOK_ID = re.compile(r"hook_[a-z0-9]{1,32}")
_FAMILIES = sorted({family_of(each) for each in ALL_TYPES})


class HookBody(RequestSchema):
    url = fields.String(required=True, validate=validate.Length(1, 2000))
    events = fields.List(
        fields.String(validate=validate.OneOf([*ALL_TYPES, *_FAMILIES])),
        load_default=(),
        metadata={"description": "types of events, or families of them; all without it"},
    )


class RedeliveryBody(RequestSchema):
    message = fields.String(
        load_default=None,
        validate=validate.Length(1, 64),
        metadata={"description": "one message, by its `webhook-id`, also where it was delivered"},
    )
    since = TimeBound(
        load_default=None,
        metadata={"description": "also what the hook missed from then on"},
    )


class Hooks(TypedDict):
    hooks: list[HookStatus]


class RemovedHook(TypedDict):
    removed: str
    actor: str


class QueuedTest(TypedDict):
    id: str
    state: Literal["queued"]
    actor: str


def hook_id_of_path(text: str) -> str:
    """The id of a webhook from a path; raises HookNotFound for what can't be one."""
    if not HOOK_ID.fullmatch(text):
        raise HookNotFound(text)
    return text
