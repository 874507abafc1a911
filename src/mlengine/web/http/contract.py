"""What a view says of itself, for the OpenAPI document: what it takes, answers, and how it fails.

Metadata only: nothing here decides about a request. A deprecation alone shows in answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import TypeVar

from marshmallow import Schema

View = TypeVar("View", bound=Callable[..., object])


@dataclass(frozen=True)
class Deprecation:
    """Since when a route is deprecated, when it goes, and the path that takes its place."""

    since: date
    sunset: date
    successor: str

    def headers(self) -> dict[str, str]:
        """By RFC 9745, RFC 8594 and RFC 5829."""
        since, sunset = (datetime.combine(day, time(), UTC) for day in (self.since, self.sunset))
        return {
            "Deprecation": f"@{since.timestamp():.0f}",
            "Sunset": format_datetime(sunset, usegmt=True),
            "Link": f'<{self.successor}>; rel="successor-version"',
        }


@dataclass(frozen=True)
class Contract:
    """`answers` has the type of the body by status: a dataclass, a shape, or media types.

    `problems` are the codes that this view alone is the reason of; those of its guard, its
    schemas and its method follow from these. `headers` names what it reads beside `X-API-Key`.
    """

    answers: Mapping[int, object]
    query: Schema | None = None
    body: Schema | None = None
    body_required: bool = False
    problems: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    deprecated: Deprecation | None = None


def says(
    *,
    answers: Mapping[int, object],
    query: Schema | None = None,
    body: Schema | None = None,
    body_required: bool = False,
    problems: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
    deprecated: Deprecation | None = None,
) -> Callable[[View], View]:
    """Put a `Contract` on a view; a test holds the view to it."""
    contract = Contract(answers, query, body, body_required, problems, headers, deprecated)

    def with_contract(view: View) -> View:
        view.contract = contract  # type: ignore[attr-defined]
        return view

    return with_contract


def contract_of(view: object) -> Contract | None:
    """None for a view that says nothing of itself."""
    return getattr(view, "contract", None)
