"""Whose integration a feed is, for who holds a role over that one."""

from __future__ import annotations

from trueup.authority.parts import Places
from trueup.core.verb import Event, State
from trueup.stock.feed_state import FeedHeld, FeedRejected, FeedReleased, FeedReported, FeedRowSettled, Feeds


def feed_of(state: State, event: Event) -> Places | None:
    """Return the integration that sent the feed an event is about; None for other events."""
    match event:
        case FeedReported(feed=feed) | FeedHeld(feed=feed):
            return [(f"integration:{feed.source}",)]
        case FeedReleased(feed=id_) | FeedRejected(feed=id_) | FeedRowSettled(feed=id_):
            known = state.of(Feeds).feeds.get(id_)
            return [(f"integration:{known.source}",)] if known is not None else None
    return None
