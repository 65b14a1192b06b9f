"""What the sandbox's planner asks for must do something: a change of rules that no order follows would show nothing."""

from trueup.authority.publish import PublishPolicy
from trueup.catalogue.ownership import KEYS, FieldOwnership
from trueup.core import json
from trueup.core.policy import Active, Known, Policies
from trueup.orders.conditions import Condition
from trueup.orders.holds import HoldRules
from trueup.sandbox import board, premises


def test_the_stricter_hold_is_asked_for_where_the_shops_orders_look():
    """Orders follow their channel's own rules, so these are what changes; the channel's other rules stay."""
    published = next(
        made for made in premises.policies("shop") if isinstance(made, PublishPolicy) and made.policy_kind == "holds"
    )
    assert published.policy_name == "shop"
    rules = json.from_plain(published.document, HoldRules)
    asked = board.proposals(Policies([Active("shop", 1, b"", rules)]), "shop")[1]
    edit = asked.edits[0].command
    assert edit["policy_name"] == "shop"
    table = json.from_plain(edit["document"], HoldRules).tables[0]
    assert [rule.name for rule in table.rules] == [rule.name for rule in rules.tables[0].rules]
    assert Condition("order.total", "over", "400") in table.rules[0].when


def test_every_field_of_items_and_partners_but_custom_ones_has_an_owner_and_the_appointed_are_people():
    """The pages name who answers for a field; where they said `nobody`, nobody would know why that is a finding."""
    owners = json.from_plain(board.founding()[0].document, FieldOwnership)
    owned = {f"{one.entity}.{one.field}" for one in owners.owners}
    assert owned | {"item.fields", "partner.fields"} == {*KEYS["item"], *KEYS["partner"]}
    assert not owners.faults(Known({}))
    ids = [email for _, email, _ in board.PEOPLE]
    assert {one.actor for one in board.appointments(ids)} == {"tea@example.com", "kitchen@example.com"}
