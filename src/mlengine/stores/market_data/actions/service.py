"""Corporate actions from a service: `GET {base_url}/actions`."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from mlengine.core.actions.actions import StatedAction
from mlengine.core.bars.symbols import is_same_symbol
from mlengine.core.timestamps import EPOCH, rfc3339
from mlengine.errors import UpstreamInvalid
from mlengine.stores.market_data.actions.reported_actions import (
    BadField,
    StatedActions,
    parse_action,
)
from mlengine.stores.market_data.body import Body
from mlengine.stores.market_data.decoding import decode_json, is_stated
from mlengine.stores.market_data.transport import BadAnswer, Transport

# Actions are announced before their ex-date.
_AHEAD = timedelta(days=365)
# A service that has none, or no such route, if it doesn't answer 404.
_NONE = frozenset({204, 405, 410})


def fetch_actions(
    transport: Transport, symbol: str, *, now: datetime, ends_at: float
) -> tuple[StatedAction, ...]:
    """All actions of a symbol, and a year of those to come; none where the service has none.

    Raises UpstreamInvalid, UpstreamUnavailable.
    """
    end = (now + _AHEAD).replace(microsecond=0)
    query = {"symbol": symbol, "start": rfc3339(EPOCH), "end": rfc3339(end)}
    try:
        with transport.get("/actions", query, ends_at=ends_at) or Body(b"[]") as body:
            return parse_actions(decode_json(body.read()), symbol)
    except BadAnswer as bad:
        if bad.status in _NONE:
            return ()
        reason = bad.reason
    except UpstreamInvalid as refusal:
        reason = refusal.reason
    transport.log_refusal(reason, {"symbol": symbol})
    raise UpstreamInvalid(f"actions of {symbol}: {reason}") from None


def parse_actions(payload: object, symbol: str) -> tuple[StatedAction, ...]:
    """Those of `symbol` in `{"actions": [...]}` or a bare list of objects.

    Raises UpstreamInvalid, which names the position in the list, the field and the value.
    """
    actions = payload.get("actions") if isinstance(payload, dict) else payload
    stated = payload.get("symbol") if isinstance(payload, dict) else None
    if not is_stated(stated, symbol, is_same_symbol):
        raise UpstreamInvalid(f"the answer is for another symbol than asked: {stated!r:.80}")
    if not isinstance(actions, list):
        raise UpstreamInvalid("the answer holds no list of actions")
    found = StatedActions()
    for number, fields in enumerate(actions, start=1):
        if not isinstance(fields, dict):
            raise UpstreamInvalid(f"action {number} is not an object")
        try:
            action = _parse(fields, symbol)
            if action.symbol == symbol:
                found.add(action)
        except BadField as bad:
            raise UpstreamInvalid(f"action {number}, {bad}") from None
    return found.all()


def _parse(fields: Mapping[str, object], symbol: str) -> StatedAction:
    """An action of `symbol`, or a change from or to it."""
    ex_date = fields.get("date") or fields.get("ex_date")
    action = parse_action({"symbol": symbol, **fields, "date": ex_date})
    if symbol not in (action.symbol, action.earlier_symbol):
        raise BadField("symbol", fields.get("symbol"), f"{symbol}, for which was asked")
    return action
