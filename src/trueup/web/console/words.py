"""The console's words for statuses, flags and events. Tones say how to look at them; green is for what was proven."""

from __future__ import annotations

from typing import NamedTuple


class Word(NamedTuple):
    """How a status reads, and its tone: quiet, plain, info, warn, bad or good."""

    text: str
    tone: str = "plain"


FULFILMENT = {
    "none": Word("nothing to ship", "quiet"),
    "unfulfilled": Word("unfulfilled", "info"),
    "partially_fulfilled": Word("partly fulfilled", "info"),
    "fulfilled": Word("fulfilled"),
    "partially_returned": Word("partly returned", "warn"),
    "returned": Word("returned", "warn"),
    "cancelled": Word("cancelled", "quiet"),
}
PAYMENT = {
    "unknown": Word("not known", "warn"),
    "none": Word("nothing due", "quiet"),
    "unpaid": Word("unpaid", "info"),
    "authorised": Word("authorised", "info"),
    "partially_paid": Word("partly paid", "warn"),
    "paid": Word("paid"),
    "overpaid": Word("overpaid", "bad"),
    "partially_refunded": Word("partly refunded", "warn"),
    "refunded": Word("refunded", "warn"),
}
BREACH = {
    "failing": Word("fails", "warn"),
    "initiated": Word("measures initiated", "info"),
    "contained": Word("contained", "bad"),
    "lifted": Word("lifted for a while", "warn"),
    "passed": Word("passes again"),
    "withdrawn": Word("rule withdrawn", "quiet"),
}
CONTAINMENT = {"none": Word("only a case", "quiet"), "quarantine_item": Word("not allocated", "warn"),
               "not_for_parcel": Word("not sent", "warn"),
               "quarantine_location": Word("nothing more there", "warn")}  # fmt: skip
HOLD = {"clear": Word("no hold", "quiet"), "held": Word("held", "bad")}
CASE = {"open": Word("open", "bad"), "acted": Word("acted", "info"), "closed": Word("closed", "quiet"),
        "merged": Word("part of another", "quiet")}  # fmt: skip
SEVERITY = {1: Word("1 critical", "bad"), 2: Word("2 high", "warn"), 3: Word("3 medium"), 4: Word("4 low", "quiet")}
KIND = {
    "good": Word("good"),
    "charge": Word("charge", "info"),
    "kit": Word("kit", "info"),
    "sale": Word("sale"),
    "credit": Word("credit", "warn"),
    "adjustment": Word("adjustment", "warn"),
}
PARTNER = {
    "supplier": Word("supplier", "info"),
    "carrier": Word("carrier"),
    "marketplace": Word("marketplace"),
    "warehouse": Word("warehouse run for us"),
    "payment": Word("payment"),
}
AGREEMENT = {
    "in_force": Word("in force", "good"),
    "to_come": Word("not in force yet", "warn"),
    "ended": Word("ended", "warn"),
}
ENDING = {
    "applied": Word("applied"),
    "quarantined": Word("quarantined", "bad"),
    "merged": Word("merged", "info"),
    "ignored": Word("ignored", "quiet"),
    "refused": Word("refused", "bad"),
    "queued": Word("queued", "info"),
    "pending_approval": Word("pending approval", "warn"),
}
RUN = {
    "loading": Word("loading", "info"),
    "finished": Word("finished"),
    "undoing": Word("being undone", "warn"),
    "undone": Word("undone", "quiet"),
    "incomplete": Word("incomplete: rows went with the undo of another run", "warn"),
}
READINESS = {
    "draft": Word("draft", "warn"),
    "sellable": Word("sellable", "info"),
    "shippable": Word("shippable"),
    "returnable": Word("returnable"),
}
FREEZE = {
    "announced": Word("announced", "info"),
    "draining": Word("draining", "warn"),
    "frozen": Word("frozen", "bad"),
    "thawing": Word("thawing", "warn"),
    "over": Word("over", "quiet"),
    "cancelled": Word("called off", "quiet"),
}
FEED = {
    "applied": Word("taken"),
    "held": Word("waits for a person", "bad"),
    "released": Word("released", "info"),
    "rejected": Word("rejected", "quiet"),
}
SUPPLY = {
    "to_come": Word("to come", "info"),
    "overdue": Word("overdue", "warn"),
    "at_risk": Word("at risk", "bad"),
    "ended": Word("nothing more to come", "quiet"),
}
NOTICE = {
    "none": Word("nothing", "quiet"),
    "notice": Word("tell the customer", "warn"),
    "consent": Word("ask for consent", "bad"),
}
POOL = {"reserve": Word("kept for it", "info"), "cap": Word("at most")}
TRANSFER = {
    "in_transit": Word("on its way", "info"),
    "partially_received": Word("partly received", "warn"),
    "closed": Word("closed"),
}
COUNT = {"open": Word("open", "info"), "closed": Word("closed", "quiet")}
COUNTED = {
    "not_counted": Word("not counted", "quiet"),
    "counted": Word("counted"),
    "recount": Word("count again", "warn"),
    "approve": Word("to be approved", "bad"),
    "approved": Word("approved"),
}
PART = {
    "open": Word("open", "info"),
    "partially_shipped": Word("partly shipped", "info"),
    "shipped": Word("shipped"),
    "cancelled": Word("withdrawn", "quiet"),
    "rejected": Word("rejected", "warn"),
}
BUCKET = {
    "available": Word("available"),
    "damaged": Word("damaged", "warn"),
    "quality": Word("in quality control", "info"),
    "quarantined": Word("quarantined", "warn"),
}
SOURCED = {
    "assigned": Word("all of it placed"),
    "partly": Word("placed in part", "warn"),
    "backordered": Word("the rest is owed", "warn"),
    "queued": Word("waits in a queue", "bad"),
    "unserved": Word("nothing of it placed", "bad"),
}
SOURCED_WHEN = {
    "placement": Word("when it was placed"),
    "schedule": Word("on schedule"),
    "demand": Word("when asked for"),
    "rejection": Word("after units were lost or rejected"),
    "receipt": Word("when goods came in"),
    "broker": Word("in a brokering run"),
    "manual": Word("by hand"),
}
DECIDED = {
    "optimised": Word("the optimiser"),
    "mixed": Word("the optimiser, and the rules for some", "info"),
    "sequential": Word("the sequential rules", "warn"),
}
DECIDED_WHY = {
    "optimised": "Its plan costs less than that of the sequential rules, and it had time for every order.",
    "no_better": "It had time for every order and found nothing cheaper than the plan of the sequential rules.",
    "mixed": "Its time ended before it had come to every order; those were planned by the sequential rules.",
    "sequential": "The optimiser found nothing cheaper in its time, so that the plan of the rules was carried out.",
}
SIMULATED = {
    "whole": "Orders whole from one location",
    "split": "Orders split over several",
    "partly": "Orders served in part",
    "queued": "Orders left to a person, in a queue",
    "parts": "Fulfilment orders made",
    "units_short": "Units nobody gives",
    "distance_km": "Kilometres, as the crow flies",
}
CHANGE = {
    "proposed": Word("proposed", "warn"),
    "approved": Word("approved", "info"),
    "applied": Word("applied", "good"),
    "rejected": Word("rejected"),
    "withdrawn": Word("withdrawn"),
    "failed": Word("failed", "bad"),
    "reverted": Word("rolled back", "bad"),
}

TOLD = {
    "queued": Word("waits", "info"),
    "sending": Word("being sent", "info"),
    "sent": Word("sent"),
    "unknown": Word("not known whether it came", "bad"),
    "failed": Word("not taken", "bad"),
}
TABLES = {
    "told": TOLD,
    "change": CHANGE,
    "decided": DECIDED,
    "transfer": TRANSFER,
    "count": COUNT,
    "counted": COUNTED,
    "supply": SUPPLY,
    "notice": NOTICE,
    "pool": POOL,
    "part": PART,
    "sourced": SOURCED,
    "sourced_when": SOURCED_WHEN,
    "breach": BREACH,
    "containment": CONTAINMENT,
    "freeze": FREEZE,
    "readiness": READINESS,
    "feed": FEED,
    "bucket": BUCKET,
    "fulfilment": FULFILMENT,
    "payment": PAYMENT,
    "hold": HOLD,
    "case": CASE,
    "kind": KIND,
    "partner": PARTNER,
    "agreement": AGREEMENT,
    "ending": ENDING,
    "run": RUN,
}

ROOT_CAUSES = {
    "data_definition": "data definition: two systems mean different things",
    "role": "role: nobody, or more than one, was responsible",
    "training": "training: somebody did not know how",
    "change_resistance": "change resistance: the new way was not taken",
    "integration": "integration: a connection failed or lagged",
    "software": "software: our own fault",
    "partner": "partner: somebody else's fault",
    "physical": "physical: goods lost, broken or misplaced",
    "unknown_accepted": "unknown, and accepted as such",
}

FLAGS = {
    "total_mismatch": "The total the source stated is not the sum of its lines. Both are kept; ours is the sum.",
    "unknown_customer": "The customer number names nobody in the source's own customer list.",
    "orphan_customer": "The customer number names nobody in the source's own customer list.",
    "negative_quantity": "A line has a negative quantity outside a credit document; taken over as it stands.",
    "duplicate_row": "Identical rows of the same document; the mapping says whether they count or merge.",
    "repeated_line": "Identical rows of one document that the mapping counts as separate lines.",
    "sku_spelling": "The SKU is another spelling of an item that is known; linked to that item.",
    "charge_as_item": "A charge code (freight, fee) stood among the items; it is counted as a charge, not as goods.",
    "return_without_purchase": "Goods came back that no order of this customer explains.",
    "mixed_date_format": "The date is written in another format than the rest of its column.",
    "currency_decimals": "The amount has more decimals than its currency can be paid in.",
    "suspected_duplicate": "The same goods for the same person within minutes; nothing was merged. A person decides.",
    "credit": "A credit document: its quantities and amounts are negative.",
    "write_off": "Goods written off: the line has units but no price.",
}

FINDINGS = {
    "packs.inconsistent": "Levels of packing contradict each other, or the units. Amend its packs or its units.",
    "packs.no_gtin": "The item has a GTIN, and a level of its packing has none. Amend its packs.",
    "gtin.invalid": "The GTIN does not check, so it is not kept. Correct it in the source, or register the item again.",
}

EVENTS = {
    "orders.placed": "Order placed",
    "orders.recorded": "Taken over as history",
    "orders.record_extended": "More rows of the document taken over",
    "orders.record_withdrawn": "Withdrawn: its load was undone",
    "orders.cancelled": "Units cancelled",
    "orders.moved": "Moved along its workflow",
    "orders.adoption_decided": "Orders in flight are to walk by another version of their workflow",
    "orders.adoption_returned": "Orders that adopted a version are to walk by their former one again",
    "orders.workflow_adopted": "Adopted another version of its workflow",
    "orders.workflow_returned": "Walks by its former version of the workflow again",
    "orders.event_unmatched": "No match: an event that its workflow does not want here",
    "orders.fulfilment_ordered": "Fulfilment orders made",
    "orders.fulfilment_reduced": "Fulfilment orders reduced",
    "sourcing.decided": "Sourced",
    "sourcing.rejected": "Rejected by a location",
    "sourcing.run_finished": "Brokering run finished",
    "stock.allocated": "Stock allocated",
    "stock.demand_pegged": "Waits for supply",
    "stock.demand_unpegged": "No longer waits for supply",
    "orders.hold_placed": "Hold placed",
    "orders.hold_released": "Hold released",
    "orders.hold_noticed": "A hold is past its time",
    "orders.duplicate_suspected": "Suspected to be a duplicate",
    "orders.duplicate_dismissed": "No duplicate",
    "orders.draft_saved": "Draft saved",
    "orders.draft_confirmed": "Draft became an order",
    "orders.draft_ended": "Draft ended",
    "orders.readdressed": "Ship-to changed",
    "orders.reservations_lapsed": "Not paid in time: reservations lapsed",
    "orders.taxed": "Tax computed anew",
    "orders.tax_committed": "Tax committed with an invoice",
    "orders.tax_reversed": "Tax reversed",
    "stock.reserved": "Stock reserved",
    "stock.claims_released": "Claims released",
    "stock.moved": "Stock moved",
    "stock.safety_set": "Safety stock set",
    "stock.transfer_shipped": "Transfer shipped",
    "stock.transfer_received": "Transfer received",
    "stock.count_opened": "Count opened",
    "stock.count_recorded": "Counted",
    "stock.count_approved": "Variances approved",
    "stock.count_closed": "Count closed",
    "stock.supply_expected": "Supply expected",
    "stock.supply_rescheduled": "Supply moved to another time",
    "stock.supply_cancelled": "Units do not come",
    "stock.supply_received": "Units of it came in",
    "stock.supply_noticed": "Overdue, and noticed",
    "stock.pool_set": "Channel pool set",
    "stock.freeze_announced": "Freeze announced",
    "stock.freeze_started": "Freeze started",
    "stock.freeze_thawed": "Freeze thawed",
    "stock.freeze_cancelled": "Freeze called off",
    "stock.intent_queued": "Movement waits for the thaw",
    "stock.intent_settled": "What waited was put through",
    "stock.feed_reported": "Stock feed taken",
    "stock.feed_held": "Stock feed held whole",
    "stock.feed_released": "Stock feed released",
    "stock.feed_rejected": "Stock feed rejected",
    "stock.feed_row_settled": "Row left quarantine",
    "cases.opened": "Case opened",
    "cases.grew": "More of the same cause",
    "cases.acted": "Acted on: the clock stopped",
    "cases.commented": "Comment: the clock runs on",
    "cases.priced": "Priced by formula",
    "cases.reopened": "Opened again: the cause came back",
    "cases.acknowledged": "Acknowledged: the response clock stopped",
    "cases.assigned": "Given to somebody",
    "cases.paused": "Paused",
    "cases.snoozed": "Snoozed: the clock runs on",
    "cases.merged": "Became part of another case",
    "cases.took_over": "Took another case over",
    "cases.closed": "Case closed",
    "catalogue.item_registered": "Item registered or amended",
    "catalogue.alias_added": "Another spelling added",
    "catalogue.location_registered": "Location registered or amended",
    "catalogue.partner_registered": "Partner registered or amended",
    "catalogue.amendment_planned": "Amendment planned for a day to come",
    "catalogue.amendment_ended": "Planned amendment ended",
    "catalogue.field_overwritten": "Field written by somebody else than its owner",
    "catalogue.site_operated": "Site's work changed",
    "catalogue.cost_recorded": "Unit cost recorded",
    "catalogue.rule_fired": "Contract rule fired",
    "catalogue.rule_passed": "Contract rule passes again",
    "catalogue.contained": "Containment noticed",
    "catalogue.containment_released": "Containment lifted for a while",
    "parties.customer_recorded": "Customer recorded",
    "authority.actor_registered": "Actor registered",
    "authority.key_issued": "API key issued",
    "authority.key_revoked": "API key revoked",
    "authority.policy_published": "Policy published",
    "authority.policy_withdrawn": "Policy withdrawn",
    "authority.appointed": "Appointed to a role; it counts once accepted",
    "authority.appointment_accepted": "Appointment accepted",
    "authority.appointment_ended": "Appointment ended",
    "authority.deputy_resigned": "Deputy resigned",
    "authority.role_passed": "Role passed on, since its holder left",
    "authority.delegated": "Delegated until a date",
    "authority.delegation_ended": "Delegation ended early",
    "authority.employment_set": "Employer and contract recorded",
    "authority.act_held": "Act beyond a limit waits for a second person",
    "authority.act_settled": "Waiting act confirmed or declined",
    "authority.governance_declared": "Governance declared",
    "authority.change_proposed": "Change proposed",
    "authority.change_edited": "Change edited: approvals start again",
    "authority.change_approved": "Approved",
    "authority.change_ended": "The proposal ended",
    "authority.change_applied": "Change applied",
    "authority.change_reverted": "Change rolled back",
    "authority.change_reviewed": "Emergency reviewed",
    "authority.change_escalated": "Unreviewed emergency stays, at a price",
    "authority.writer_assigned": "Writer assigned to a cohort",
    "authority.writer_ended": "Writer's period ended",
    "authority.override_asked": "Override asked for",
    "authority.override_granted": "Override granted",
    "authority.override_declined": "Override declined",
    "authority.override_ended": "Override given back",
    "authority.override_used": "Override let it pass",
    "authority.override_noticed": "End of an override noticed",
    "authority.node_set": "Organisation changed",
    "authority.node_removed": "Part of the organisation removed",
}


def word(table: str, value: str) -> Word:
    """Return the word for a status; one that nobody named yet reads as it is stored."""
    return TABLES[table].get(value) or Word(value.replace("_", " "))


def readable(name: str) -> str:
    """Return a stored name for people: `bad_gtin` reads as `bad gtin`."""
    return name.replace("_", " ").replace(".", " ")
