"""The other systems that may write what Trueup writes, and what the guard knows of the registry in one epoch."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from trueup.authority.cohorts import OURS, WriterRule
from trueup.core.policy import Fault, Known, Policy
from trueup.core.verb import Actor, Command

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]*$", max_length=80)]


class System(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another system that may write. actors: ids of the services that bring its changes. sources: the words that its
    commands carry in their field `source`. contact: who is asked about it."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    actors: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    contact: str = ""


class WritingSystems(Policy, frozen=True, kw_only=True):
    """The other systems that may write what Trueup writes too, by name; where a change was born follows from it."""

    kind: ClassVar[str] = "writers"
    names: ClassVar[tuple[str, ...]] = ("default",)
    unreplayed: ClassVar[str] = "Commands of the past do not say in which system they were born."
    systems: dict[Name, System] = msgspec.field(default_factory=dict)

    def faults(self, known: Known) -> list[Fault]:
        """Return our own name, and actors and sources that stand for two systems."""
        found = [Fault(f"systems.{OURS}", OURS, "this is Trueup itself; leave it out")] if OURS in self.systems else []
        seen: dict[tuple[str, str], str] = {}
        for name, system in self.systems.items():
            for kind in ("actors", "sources"):
                for one in getattr(system, kind):
                    other = seen.setdefault((kind, one), name)
                    if other != name:
                        found.append(Fault(f"systems.{name}.{kind}", one, f"it stands for {other!r} already"))
        return found

    def born(self, actor: Actor, command: Command) -> str:
        """Return the system in which a change was born; `trueup` where nothing tells otherwise."""
        source = getattr(command, "source", None)
        for name, system in self.systems.items():
            if actor.id in system.actors or (isinstance(source, str) and source in system.sources):
                return name
        return OURS


class Registry(msgspec.Struct, frozen=True):
    """What the guard knows of one epoch: the rules that are not over, and the systems there are."""

    rules: tuple[WriterRule, ...] = ()
    systems: WritingSystems = WritingSystems()

    @property
    def idle(self) -> bool:
        """Tell whether nothing was ever given to another system: then Trueup writes everything."""
        return not self.rules and not self.systems.systems
