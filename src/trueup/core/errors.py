"""What can go wrong, as a tree.

    TrueupError
    |-- SettingsError        a setting is missing or cannot be understood
    |-- StartRefused         the database is not safe to promise anything on
    |-- DatabaseUnreachable  no connection, or it was lost and retries did not help
    |-- Overloaded           the door's queue is full; try again later
    |-- Unknown              the COMMIT's answer was lost; ask again with the same key
    `-- Refused              a request that a rule refused (carries a Refusal)

A Refusal is a value: `decide` returns it, the door keeps it under the command's key, the API shows it as
problem details (RFC 9457) and an import shows it as a row of its report.
"""

from __future__ import annotations

import msgspec


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was refused: what, where, why and what to do.

    rule: stable dotted name of the rule, e.g. `stock.short`.
    what: one sentence in the user's words.
    fix: what the caller can do about it.
    where: path of the offending field or the id of the object, e.g. `lines[2].sku`.
    value: the offending value as text.
    details: one entry for each further place (all short lines, not only the first).
    """

    rule: str
    what: str
    fix: str
    where: str = ""
    value: str = ""
    details: tuple[RefusalDetail, ...] = ()


class RefusalDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place a refusal concerns: where, the value there, and what it should have been."""

    where: str
    value: str
    what: str


class TrueupError(Exception):
    """Root of everything Trueup raises on purpose."""


class SettingsError(TrueupError):
    """A setting is missing or cannot be understood; the message names it and a valid value."""


class StartRefused(TrueupError):
    """The database is not one on which anything may be promised; the message says what to change."""


class DatabaseUnreachable(TrueupError):
    """No connection to the database, or it went away and retrying did not help."""


class Overloaded(TrueupError):
    """The door's queue is full. Nothing was written; try again later."""


class Unknown(TrueupError):
    """The answer to a COMMIT was lost. Submit again with the same key to learn what happened."""


class Refused(TrueupError):
    """A request that a rule refused."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.rule}: {refusal.what} {refusal.fix}")
        self.refusal = refusal
