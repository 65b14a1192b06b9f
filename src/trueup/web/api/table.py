"""What a row of the API's table is: an address that takes a command, or one that answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from trueup.authority.standing import Scope
from trueup.core.database import Connection
from trueup.core.fields import CustomFields
from trueup.core.paging import Limit
from trueup.core.policy import Policies
from trueup.core.verb import Command

BODY_BYTES_MAX = 1_000_000
COUNT_BYTES_MAX = 10_000_000
T = TypeVar("T")


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One address that takes a command; the body is the command without what the path or a header says.

    path: names in braces are fields of the command, or stand for the field that `fills` names. created: what is new
    gets 201 and this Location, filled from the result. if_match: field that the If-Match header fills.
    fixed: fields that are the same for every caller of this address.
    """

    method: str
    path: str
    command: type[Command]
    fills: dict[str, str] = {}
    created: str | None = None
    if_match: str | None = None
    fixed: dict[str, Any] = {}
    bytes_max: int = BODY_BYTES_MAX


class NoQuery(msgspec.Struct, frozen=True):
    """Nothing may stand behind the question mark."""


class Asked(msgspec.Struct, frozen=True):
    """What a read was asked: the path's parts, the query, the time, and the part of the organisation it may show.

    scope: None is all of it. actor: who asks.
    """

    path: dict[str, str]
    query: Any
    now: datetime
    policies: Policies
    scope: Scope | None = None
    actor: str = ""

    @property
    def sites(self) -> frozenset[str] | None:
        """The codes of the locations it may show; None is every one."""
        return None if self.scope is None else self.scope.sites

    @property
    def channels(self) -> frozenset[str] | None:
        """The channels it may show; None is every one."""
        return None if self.scope is None else self.scope.channels

    def fields(self, entity: str) -> CustomFields:
        """Return the custom fields of an entity."""
        return self.policies.get(CustomFields, entity)


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """One address that answers. answer: returns None where there is no such thing. right: who may ask.

    scoped: it shows no more than `Asked.scope` allows, or nothing that belongs to one site or channel; what is not
    scoped is refused to who is confined to a part of the organisation.
    """

    path: str
    summary: str
    answer: Callable[[Connection, Asked], Awaitable[Any]]
    returns: Any
    query: type[msgspec.Struct] = NoQuery
    right: str = "read"
    scoped: bool = False


class OnePage(msgspec.Struct, frozen=True):
    """A page of a list that has no filters."""

    cursor: str | None = None
    limit: Limit = 100


class Listed(msgspec.Struct, Generic[T], frozen=True):
    """All there is of something short, as an object, so that it can gain fields."""

    items: tuple[T, ...]


async def listed(rows: Awaitable[tuple[T, ...]]) -> Listed[T]:
    """Answer with a short list."""
    return Listed(await rows)
