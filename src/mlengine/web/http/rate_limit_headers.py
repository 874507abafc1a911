"""What an answer says of the limit: by the IETF's draft, and by the older `X-RateLimit-` names."""

from dataclasses import dataclass

Headers = list[tuple[str, str]]

LIMIT, REMAINING, RESET = "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"
POLICY, STATE = "RateLimit-Policy", "RateLimit"


@dataclass(frozen=True)
class RateLimitHeaders:
    """Of a limit of `requests` in each `window_seconds`, whole numbers both."""

    requests: int
    window_seconds: int

    def counted(self, reset: int, now: int, remaining: int) -> Headers:
        """All of a request that was let in; `reset` and `now` in seconds since 1970.

        In the framework's words and order.
        """
        return [
            (LIMIT, str(self.requests)),
            (REMAINING, str(remaining)),
            (RESET, str(reset)),
            *self.standard(remaining, seconds_until(reset, now)),
        ]

    def standard(self, remaining: int, wait_seconds: int) -> Headers:
        """Those of the draft: `q` requests in `w` seconds; `r` are left, more in `t` seconds."""
        return [
            (POLICY, f'"default";q={self.requests};w={self.window_seconds}'),
            (STATE, f'"default";r={remaining};t={wait_seconds}'),
        ]


def seconds_until(reset: int, now: int) -> int:
    """0 for what has passed."""
    return max(0, reset - now)
