"""What people do with what a feed left in quarantine: release or reject it whole, correct or discard a row."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import Quantity
from trueup.core.verb import Accepted, Command, Concerns, Context, Decision, Movement, State, Verb
from trueup.stock.feed import (
    FeedRow,
    ask_for_rows,
    bad_rows,
    counted,
    feeding,
    judge,
    posted,
    rows_by_site,
    want_feed_cases,
)
from trueup.stock.feed_state import BadRow, Ending, Feed, FeedRejected, FeedReleased, FeedRowSettled, Feeds

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class ReleaseFeed(Command, frozen=True, kw_only=True):
    """Let a held feed pass: it is true, however much it changes."""

    feed: str
    reason: Reason


class RejectFeed(Command, frozen=True, kw_only=True):
    """Reject a held feed; none of its rows counts."""

    feed: str
    reason: Reason


class CorrectFeedRow(Command, frozen=True, kw_only=True):
    """Post a row from quarantine with what is right; what is left out stays as it came."""

    feed: str
    row: int
    reason: Reason
    sku: str | None = None
    location: str | None = None
    quantity: Quantity | None = None


class DiscardFeedRow(Command, frozen=True, kw_only=True):
    """Give a row in quarantine up."""

    feed: str
    row: int
    reason: Reason


def release_feed(state: State, command: ReleaseFeed, context: Context) -> Decision:
    """Post the feed as of its own time; movements since stay on top, and bad rows go to quarantine by themselves.

    Refuses one that is not held, and a snapshot that a newer one has overtaken. Source: behaviours 34 and 36.
    """
    feed = _held(state, command.feed)
    if isinstance(feed, Refusal):
        return feed
    if feed.released_at is not None:
        return Accepted((), feed.id, {"feed": feed.id}, "merged")
    if feed.rejected_at is not None:
        return _not_held(feed)
    overtaken = _overtaken(state, feed)
    if overtaken is not None:
        return overtaken
    rows = list(enumerate(_rows(state, feed.id), 1))
    judged = judge(state, feed, rows, feeding(context.policies, feed.source))
    done = counted(feed, judged)
    released = FeedReleased(
        feed=feed.id,
        why=command.reason,
        applied=done.applied,
        merged=done.merged,
        quarantined=done.quarantined,
        ignored=done.ignored,
        at=context.now,
        bad=tuple(judged.bad),
    )
    result = {"feed": feed.id, "rows": feed.rows, "applied": done.applied, "merged": done.merged,
              "quarantined": done.quarantined, "ignored": done.ignored, "bad": bad_rows(judged.bad)}  # fmt: skip
    return Accepted([released, *posted(state, context, feed, judged)], feed.id, result)


def reject_feed(state: State, command: RejectFeed, context: Context) -> Decision:
    """Reject it. Refuses one that is not held; one that was rejected is merged."""
    feed = _held(state, command.feed)
    if isinstance(feed, Refusal):
        return feed
    if feed.rejected_at is not None:
        return Accepted((), feed.id, {"feed": feed.id}, "merged")
    if feed.released_at is not None:
        return _not_held(feed)
    event = FeedRejected(feed=feed.id, why=command.reason, at=context.now)
    return Accepted([event], feed.id, {"feed": feed.id, "ignored": feed.rows})


def correct_feed_row(state: State, command: CorrectFeedRow, context: Context) -> Decision:
    """Post the corrected row as of its feed's time.

    Refuses a row that is not in quarantine, one that is still wrong, naming the field, and a row of a snapshot that a
    newer one has overtaken.
    """
    found = _row(state, command.feed, command.row)
    if isinstance(found, Refusal):
        return found
    feed, _, settled = found
    if settled is not None:
        return Accepted((), feed.id, {"feed": feed.id, "row": command.row, "settled": settled}, "merged")
    overtaken = _overtaken(state, feed)
    if overtaken is not None:
        return overtaken
    row = _corrected(state, command)
    judged = judge(state, feed, [(command.row, row)], feeding(context.policies, feed.source))
    if judged.bad:
        bad = judged.bad[0]
        return Refusal(bad.rule, f"Row {bad.row} is still wrong: {bad.field} {bad.value!r}.",
                       "Correct that field, too, or discard the row.", bad.field, bad.value)  # fmt: skip
    ending: Ending = "applied" if judged.applied else "merged"
    event = FeedRowSettled(feed=feed.id, row=command.row, settled="corrected", ending=ending, why=command.reason,
                           at=context.now)  # fmt: skip
    result = {"feed": feed.id, "row": command.row, "ending": ending}
    return Accepted([event, *posted(state, context, feed, judged)], feed.id, result)


def discard_feed_row(state: State, command: DiscardFeedRow, context: Context) -> Decision:
    """Give the row up; it counts as ignored. Refuses a row that is not in quarantine."""
    found = _row(state, command.feed, command.row)
    if isinstance(found, Refusal):
        return found
    feed, _, settled = found
    if settled is not None:
        return Accepted((), feed.id, {"feed": feed.id, "row": command.row, "settled": settled}, "merged")
    event = FeedRowSettled(feed=feed.id, row=command.row, settled="discarded", ending="ignored", why=command.reason,
                           at=context.now)  # fmt: skip
    return Accepted([event], feed.id, {"feed": feed.id, "row": command.row, "ending": "ignored"})


def _held(state: State, feed: str) -> Feed | Refusal:
    found = state.of(Feeds).feeds.get(feed)
    if found is None:
        return _unknown(feed)
    return found if found.held_why is not None else _not_held(found)


def _unknown(feed: str) -> Refusal:
    return Refusal("stock.unknown_feed", f"There is no feed {feed[:80]!r}.", "Look its id up in the list.", "feed",
                   feed[:80])  # fmt: skip


def _not_held(feed: Feed) -> Refusal:
    return Refusal("stock.feed_not_held", f"{feed.id} does not wait for anybody.", "Nothing is to be done.", "feed",
                   feed.id)  # fmt: skip


def _overtaken(state: State, feed: Feed) -> Refusal | None:
    """Refuse what the source's newest snapshot knows better."""
    told = state.of(Feeds).sources[feed.source].as_of
    if told is None or told < feed.as_of or (told == feed.as_of and feed.kind == "snapshot"):
        return None
    return Refusal("stock.feed_older", f"{feed.source} told what it had as of {told.isoformat()}, which is later.",
                   "Reject or discard this one: the newer figures hold.", "feed", feed.id)  # fmt: skip


def _row(state: State, feed: str, row: int) -> tuple[Feed, BadRow, str | None] | Refusal:
    found = state.of(Feeds).feeds.get(feed)
    if found is None:
        return _unknown(feed)
    kept = state.of(Feeds).bad.get((feed, row))
    if kept is None:
        return Refusal("stock.feed_row", f"Row {row} of {feed} is not in quarantine.", "Look it up in the list.",
                       "row", str(row))  # fmt: skip
    return found, kept[0], kept[2]


def _rows(state: State, feed: str) -> tuple[FeedRow, ...]:
    held = state.of(Feeds).held.get(feed)
    return json.decode(held, tuple[FeedRow, ...]) if held is not None else ()


def _corrected(state: State, command: CorrectFeedRow) -> FeedRow:
    kept = state.of(Feeds).bad.get((command.feed, command.row))
    row = json.decode(kept[0].raw, FeedRow) if kept is not None else FeedRow()
    changes: dict[str, Any] = {
        "sku": command.sku,
        "location": command.location,
        "quantity": None if command.quantity is None else format(command.quantity, "f"),
    }
    return msgspec.structs.replace(row, **{name: value for name, value in changes.items() if value is not None})


def _then_release(state: State, command: ReleaseFeed, policies: Policies) -> None:
    feed = state.of(Feeds).feeds.get(command.feed)
    if feed is not None:
        ask_for_rows(state, feed, _rows(state, feed.id), policies)
        want_feed_cases(state, feed.source)


def _then_correct(state: State, command: CorrectFeedRow, policies: Policies) -> None:
    feed = state.of(Feeds).feeds.get(command.feed)
    if feed is not None:
        ask_for_rows(state, feed, [_corrected(state, command)], policies)
        want_feed_cases(state, feed.source)


def _moves(state: State, command: ReleaseFeed | CorrectFeedRow) -> tuple[Movement, ...]:
    feed = state.of(Feeds).feeds.get(command.feed)
    if feed is None:
        return ()
    rows = _rows(state, feed.id) if isinstance(command, ReleaseFeed) else (_corrected(state, command),)
    return rows_by_site(rows, feed.location)


def _concerns(state: State, command: ReleaseFeed | CorrectFeedRow) -> Concerns:
    return Concerns(sites=tuple(movement.site for movement in _moves(state, command)))


def _wants(state: State, command: ReleaseFeed | RejectFeed | CorrectFeedRow | DiscardFeedRow, _: Policies) -> None:
    state.of(Feeds).want_feed(command.feed)


VERBS: tuple[Verb[Any], ...] = (
    Verb(
        name="stock.release_feed",
        command=ReleaseFeed,
        decide=release_feed,
        wants=_wants,
        then_wants=_then_release,
        touches=lambda command: (command.feed,),
        moves=_moves,
        concerns=_concerns,
    ),
    Verb(
        name="stock.reject_feed",
        command=RejectFeed,
        decide=reject_feed,
        wants=_wants,
        touches=lambda command: (command.feed,),
    ),
    Verb(
        name="stock.correct_feed_row",
        command=CorrectFeedRow,
        decide=correct_feed_row,
        wants=_wants,
        then_wants=_then_correct,
        touches=lambda command: (command.feed,),
        moves=_moves,
        concerns=_concerns,
    ),
    Verb(
        name="stock.discard_feed_row",
        command=DiscardFeedRow,
        decide=discard_feed_row,
        wants=_wants,
        touches=lambda command: (command.feed,),
    ),
)
