"""What a standing holds beside rights: the writer registry, and granted overrides; read once per epoch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from trueup.authority.overrides_state import READ as READ_OVERRIDES
from trueup.authority.overrides_state import override_of
from trueup.authority.standing import Standing
from trueup.authority.writers_policy import Registry, WritingSystems
from trueup.authority.writers_state import READ as READ_RULES
from trueup.authority.writers_state import rule_of
from trueup.core.batch import roundtrip
from trueup.core.database import Connection
from trueup.core.verb import Statement

Load = Callable[[Connection], Awaitable[Standing]]


def lending(load: Load) -> Load:
    """Return a loader that adds the registry and the overrides to the standing that `load` reads.

    Left out is what never held, and an override whose end was noticed: when one holds is told by the batch's time.
    """

    async def load_standing(connection: Connection) -> Standing:
        standing = await load(connection)
        rules, overrides = await roundtrip(
            connection,
            [
                Statement(f"{READ_RULES} where until_at is null or until_at > from_at order by id"),
                Statement(
                    f"""{READ_OVERRIDES} where granted_at is not null and ended_at is null
                    and not 'expired' = any(noticed) order by id"""
                ),
            ],
        )
        standing.registry = Registry(tuple(map(rule_of, rules)), standing.policies.get(WritingSystems))
        standing.overrides = tuple(map(override_of, overrides))
        return standing

    return load_standing
