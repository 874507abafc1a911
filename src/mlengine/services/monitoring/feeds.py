"""The step of the monitoring update that tells when a feed goes stale, and when it is back."""

from dataclasses import dataclass
from datetime import datetime

from mlengine.stores.monitoring.feed_store import FeedStore


@dataclass(frozen=True)
class FeedStep:
    """A feed is as fresh as the newest live prediction of its symbol said of its newest bar.

    So a symbol that nobody asks for any more changes nothing.
    """

    store: FeedStore
    interval: str

    @property
    def name(self) -> str:
        return "feeds"

    def run(self, now: datetime) -> datetime | None:
        """Nothing changes where no prediction comes."""
        states, position = self.store.new_states(self.interval)
        if states:
            self.store.take_in(states, self.interval, position=position, now=now)
        return None
