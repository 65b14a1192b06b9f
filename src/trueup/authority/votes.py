"""Which approvals count at a moment: votes are given in an office, and end with it.

An approval counts while its voter may act and still holds, by themselves, a role in which it was given. Where the role
passed on, however regularly, the vote does not pass with it: the successor reads the change and votes. What somebody
has from who asked (a role they lend, an appointment they made, standing in as their deputy), or from another who
approved, is no vote of their own; that is asked at the act again, so that it counts no more if it came to be so since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from trueup.authority.changes_state import Approval, Change
from trueup.authority.decision_rights import Need
from trueup.authority.tenure import Tenure, actors_at
from trueup.core.verb import Actor


class Voted(msgspec.Struct, frozen=True):
    """An approval as it stands at a moment. roles: in which it counts. why: it does not any more, "" where it does.

    lapsed: of an approval that counts, the roles in which it was given and counts no more, each with why.
    """

    approval: Approval
    roles: tuple[str, ...]
    why: str = ""
    lapsed: tuple[tuple[str, str], ...] = ()


def voted(change: Change, own: Mapping[str, Actor], tenure: Tenure, now: datetime) -> tuple[Voted, ...]:
    """Return the approvals of the content as it is. own: everybody active, with the roles they have by themselves."""
    held = actors_at(own, tenure, now, _no_right)
    return tuple(_voted(one, change, own, tenure, held, now) for one in change.counted())


def counting(found: Iterable[Voted]) -> list[Approval]:
    """Return the approvals that count, each with the roles in which it does."""
    return [msgspec.structs.replace(one.approval, roles=one.roles) for one in found if not one.why]


def own_say(change: Change, voter: str, own: Mapping[str, Actor], tenure: Tenure, now: datetime) -> tuple[str, ...]:
    """Return what somebody decides by, without what they have from who asked, or from who approved it already.

    A role that was lent is one vote, whoever casts it; and nobody makes their own approver, nor stands in for
    themselves.
    """
    said = {approval.actor for approval in change.counted()} - {voter}
    alone = tenure.without(change.asker, voter, said)
    found = actors_at(own, alone, now, _no_right).get(voter)
    return found.deciding() if found is not None else ()


def may_say(
    change: Change, voter: str, asked: Sequence[Need], own: Mapping[str, Actor], tenure: Tenure, now: datetime
) -> tuple[str, ...]:
    """Return the roles in which somebody's yes would count now.

    None for who asked, who said it already, and who has no vote of their own on any of the needs asked.
    """
    if voter == change.asker or any(one.actor == voter for one in change.counted()):
        return ()
    roles = own_say(change, voter, own, tenure, now)
    counts = any(need.met_by(roles) for need in asked)
    return roles if counts and not said_in_stead(change, voter, asked, own, tenure, now) else ()


def said_in_stead(
    change: Change, voter: str, asked: Sequence[Need], own: Mapping[str, Actor], tenure: Tenure, now: datetime
) -> bool:
    """Tell whether somebody said yes who decides this only by a role that this voter lends them."""
    lent = {one.taker for one in tenure.delegations if one.giver == voter and one.holds(now)}
    without = msgspec.structs.replace(change, asker=voter, approvals=())
    return any(
        one.actor in lent and not any(need.met_by(own_say(without, one.actor, own, tenure, now)) for need in asked)
        for one in change.counted()
    )


def _voted(
    one: Approval, change: Change, own: Mapping[str, Actor], tenure: Tenure, held: Mapping[str, Actor], now: datetime
) -> Voted:
    if one.actor not in own:
        return Voted(one, (), "may not act any more")
    if tenure.gone(one.actor, now):
        return Voted(one, (), "their contract has ended")
    roles = _still(one.roles, own_say(change, one.actor, own, tenure, now))
    lost = [role for role in one.roles if role not in roles]
    here = held[one.actor].deciding() if one.actor in held else ()
    if roles or not one.roles:
        return Voted(one, roles, "", tuple((role, _why([role], here, roles)) for role in lost))
    return Voted(one, (), _why(lost, here))


def _why(lost: Sequence[str], held: Iterable[str], roles: Iterable[str] = ()) -> str:
    """Return why what was said in these roles does not count. held: all of theirs, lent ones too; roles: that count."""
    narrower = [role for role in roles if role.partition("@")[0] in lost]
    if narrower:
        return f"only {_named(narrower)} by now"
    lent = _still(lost, held)
    if lent:
        return f"{_named(lent)} is theirs only by who asked for it, or approved it, too"
    return f"not {_named(lost)} any more"


def _still(then: Iterable[str], now: Iterable[str]) -> tuple[str, ...]:
    """Return of the roles held now those in which a vote was given, each as narrow as the narrower of the two."""
    given, found = {*then}, set()
    for role in now:
        name, _, part = role.partition("@")
        if role in given or (part and name in given):
            found.add(role)
        elif not part:
            found |= {one for one in given if one.partition("@")[0] == name}
    return tuple(sorted(found))


def _named(roles: Iterable[str]) -> str:
    return ", ".join(sorted(role.replace("@", " for ") for role in roles))


def _no_right(roles: frozenset[str], right: str) -> bool:
    return False
