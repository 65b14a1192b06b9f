"""Policy documents: everything a user can configure, validated by a struct, versioned, with a digest.

A room declares its kinds as subclasses of `Policy`; the active version of each is read once per authority epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, ClassVar, Literal, TypeVar

import msgspec

from trueup.core import json
from trueup.core.errors import Refusal, RefusalDetail


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A document that steers behaviour. Subclasses name their `kind` and hold defaults a small shop can live with.

    names: what documents of the kind may be called; empty where any name goes. falls_back: a name without a document
    is read as `default`, not as shipped. pinned: what was captured under one version keeps it, so that every version
    stays at hand. unreplayed: why replaying past commands cannot show what another document of the kind would change,
    "" where it can.
    """

    kind: ClassVar[str]
    names: ClassVar[tuple[str, ...]] = ()
    falls_back: ClassVar[bool] = False
    pinned: ClassVar[bool] = False
    unreplayed: ClassVar[str] = ""

    def faults(self, known: Known) -> list[Fault]:
        """Return what is wrong with the document beyond its fields' types; called before it is put in force."""
        return []

    def named_parts(self, field: str) -> dict[str, Any]:
        """Return the named parts of a field that somebody of their own may decide; empty where it has none."""
        value = getattr(self, field)
        if isinstance(value, dict):
            return {str(name): entry for name, entry in value.items()}
        if isinstance(value, tuple) and value and all(hasattr(entry, "name") for entry in value):
            return {str(entry.name): entry for entry in value}
        return {}


class Withdrawn(Policy, frozen=True, kw_only=True):
    """Stands for no document among documents that are proposed: the name is read as if none had been published."""

    kind: ClassVar[str] = ""
    withdrawn: Literal[True] = True


class Fault(msgspec.Struct, frozen=True):
    """One mistake in a document: the path to it, the value there, and what the rule asks for."""

    where: str
    value: str
    what: str


class Known(msgspec.Struct, frozen=True):
    """What documents may refer to. commands: what a verb of this name takes. governed: keys that need a decider.

    roles: what somebody may be.
    """

    commands: Mapping[str, type[msgspec.Struct]]
    governed: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


P = TypeVar("P", bound=Policy)


class Active(msgspec.Struct, frozen=True):
    """The version of a document that is in force: orders pin its number."""

    name: str
    version: int
    digest: bytes
    document: Policy


def digest(document: bytes) -> bytes:
    """Return the SHA-256 that approvals and drift are bound to."""
    return hashlib.sha256(document).digest()


class Policies:
    """The documents in force at one epoch; of pinned kinds, the older versions too. kinds: all that there are."""

    def __init__(
        self, active: Iterable[Active], older: Iterable[Active] = (), kinds: Mapping[str, type[Policy]] | None = None
    ) -> None:
        self.kinds = kinds or {}
        self._coming: frozenset[tuple[str, str, int]] = frozenset()
        self._active = {(entry.document.kind, entry.name): entry for entry in active}
        self._pinned = {
            (entry.document.kind, entry.name, entry.version): entry.document
            for entry in (*older, *self._active.values())
            if entry.document.pinned
        }

    def find(self, kind: type[P], name: str) -> P | None:
        """Return the active document of this kind and name, or None."""
        entry = self._active.get((kind.kind, name))
        return entry.document if entry is not None and isinstance(entry.document, kind) else None

    def get(self, kind: type[P], name: str = "default") -> P:
        """Return the active document of this kind and name; where none was published, the struct's defaults."""
        return self.find(kind, name) or shipped(kind)

    def read_as(self, kind: type[P], name: str) -> P:
        """Return what holds under a name that has no document of its own: `default`, or what is shipped."""
        return (self.find(kind, "default") if kind.falls_back else None) or shipped(kind)

    def version(self, kind: type[P], name: str = "default") -> int:
        """Return the active version's number; 0 stands for the defaults."""
        entry = self._active.get((kind.kind, name))
        return entry.version if entry else 0

    def at(self, kind: type[P], name: str, version: int) -> P:
        """Return the version of a pinned document that something was captured under; version 0 is the defaults."""
        found = self._pinned.get((kind.kind, name, version))
        return found if isinstance(found, kind) else shipped(kind)

    def knows(self, kind: type[P], name: str, version: int) -> bool:
        """Tell whether there is this version of a pinned document; what is shipped is always there."""
        return version == 0 or (kind.kind, name, version) in self._pinned

    def knowing(self, name: str, version: int, document: Policy) -> Policies:
        """Return these policies, knowing a version of a pinned document that comes with the act that is decided."""
        known = Policies((), (), self.kinds)
        known._active = self._active
        known._pinned = {**self._pinned, (document.kind, name, version): document}
        known._coming = self._coming | {(document.kind, name, version)}
        return known

    def comes(self, kind: type[P], name: str, version: int) -> bool:
        """Tell whether a version comes with the act that is decided; see `knowing`."""
        return (kind.kind, name, version) in self._coming

    def all(self, kind: type[P]) -> dict[str, P]:
        """Return every active document of a kind by name."""
        return {e.name: e.document for e in self._active.values() if isinstance(e.document, kind)}

    def with_documents(self, documents: Mapping[tuple[str, str], Policy]) -> Policies:
        """Return these policies as they are when documents, by (kind, name), come into force as the next versions.

        `Withdrawn` takes the document of its name out of force; what is pinned to one keeps it.
        """
        changed = Policies((), (), self.kinds)
        changed._active, changed._pinned = dict(self._active), dict(self._pinned)
        for (kind, name), document in documents.items():
            before = changed._active.pop((kind, name), None)
            if isinstance(document, Withdrawn):
                continue
            known = [v for k, n, v in self._pinned if (k, n) == (kind, name)]
            version = max(known, default=before.version if before else 0) + 1
            changed._active[kind, name] = Active(name, version, digest(json.encode(document)), document)
            if document.pinned:
                changed._pinned[kind, name, version] = document
        return changed


@cache
def shipped(kind: type[P]) -> P:
    """Return what holds of a kind where nothing was published: one document, so that what it computed is kept."""
    return kind()


def read_proposed(kind: type[Policy], document: bytes) -> Policy:
    """Return a document of a kind that is proposed, or `Withdrawn`, from its JSON."""
    withdrawn = json.encode(Withdrawn())
    return Withdrawn() if document == withdrawn else json.decode(document, kind)


def keys_of(kinds: Mapping[str, type[Policy]]) -> frozenset[str]:
    """Return the governed keys of policy kinds: every field of every kind, as `kind.field`."""
    return frozenset(f"{kind}.{field}" for kind, struct in kinds.items() for field in struct.__struct_fields__)


def read_document(
    kinds: dict[str, type[Policy]], kind: str, document: Any, known: Known | None = None
) -> Policy | Refusal:
    """Validate a document given as plain data; a refusal names the path and the rule, or the kinds there are.

    known: what it may refer to; without it, only its own fields are looked at.
    """
    if kind not in kinds:
        return Refusal(
            "policy.unknown_kind", f"There is no policy of kind {kind!r}.", f"Use one of: {', '.join(sorted(kinds))}."
        )
    try:
        read = json.from_plain(document, kinds[kind])
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        where = path.rstrip("`").removeprefix(".")
        return Refusal(
            "policy.invalid",
            f"The document is not a valid {kind}: {where + ': ' if where else ''}{what}.",
            "Correct it and send it again.",
            where,
            details=(RefusalDetail(where, "", what),),
        )
    faults = read.faults(known) if known is not None else []
    if not faults:
        return read
    return Refusal(
        "policy.invalid",
        f"The document is not a valid {kind}: " + "; ".join(f"{f.where}: {f.what}" for f in faults) + ".",
        "Correct it and send it again.",
        faults[0].where,
        faults[0].value,
        tuple(RefusalDetail(f.where, f.value, f.what) for f in faults),
    )
