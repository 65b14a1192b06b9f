"""Import a data contract from an ODCS document: read, then published like any other policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from trueup.authority.publish import PublishPolicy
from trueup.authority.register import touches_authority, wants_authority
from trueup.catalogue.contract import Contract, rules_of
from trueup.catalogue.contract_odcs import imported, not_run
from trueup.catalogue.contract_yaml import read_yaml
from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.verb import Accepted, Command, Context, Decision, Governance, Governed, State, Verb


class ImportContract(Command, frozen=True, kw_only=True):
    """Put a contract in force that is written as an ODCS 3.1 document.

    name: that it is known by here. document: YAML, at most a megabyte. reason: why, for the record.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    document: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000_000)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


def read_contract(text: str) -> Contract | Refusal:
    """Return the contract that a YAML text is, or why it is none: path or line, value, rule and fix."""
    document = read_yaml(text)
    return document if isinstance(document, Refusal) else imported(document)


def publishing_of(command: ImportContract) -> PublishPolicy | Refusal:
    """Return the command that publishes what the document says."""
    contract = read_contract(command.document)
    if isinstance(contract, Refusal):
        return msgspec.structs.replace(contract, where=f"document.{contract.where}" if contract.where else "document")
    return PublishPolicy(
        policy_kind=Contract.kind, policy_name=command.name, document=json.to_plain(contract), reason=command.reason
    )


def importing(published: Callable[[], Verb[Any]]) -> Verb[ImportContract]:
    """Return the verb that imports contracts; published: the one that publishes policies, whose rule holds here."""

    def import_contract(state: State, command: ImportContract, context: Context) -> Decision:
        """Publish the contract as its next version; rules for other engines are kept, and named as not run here.

        Refuses what is not YAML, naming line and column; what is no ODCS 3.1 contract, and rules that cannot be run,
        naming path, value, rule and fix. The same document again is merged.
        """
        inner = publishing_of(command)
        if isinstance(inner, Refusal):
            return inner
        decision = published().decide(state, inner, context)
        if isinstance(decision, Refusal):
            return decision
        contract = json.convert(inner.document, Contract)
        told = {
            "contract": command.name,
            "version": decision.result["version"],
            "rules": sum(1 for _ in rules_of(contract)),
            "not_run": list(not_run(contract)),
        }
        return Accepted(decision.events, decision.subject, told, decision.status)

    def objects(state: State, command: ImportContract, policies: Policies) -> tuple[Governed, ...]:
        """Return the fields of the contract that would be another."""
        inner, governance = publishing_of(command), published().governance
        if isinstance(inner, Refusal) or governance is None:
            return ()
        return tuple(governance.objects(state, inner, policies))

    def undo(state: State, command: ImportContract, policies: Policies) -> Command | Refusal:
        """Return the command that publishes what is in force now."""
        inner, governance = publishing_of(command), published().governance
        assert governance is not None, "policies are published as changes"
        return inner if isinstance(inner, Refusal) else governance.undo(state, inner, policies)

    keys = tuple(f"{Contract.kind}.{field}" for field in Contract.__struct_fields__)
    return Verb(
        name="catalogue.import_contract",
        command=ImportContract,
        decide=import_contract,
        wants=wants_authority,
        touches=touches_authority,
        governance=Governance(keys=keys, objects=objects, undo=undo),
    )
