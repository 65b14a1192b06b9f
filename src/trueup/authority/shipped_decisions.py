"""The decision rights Trueup is shipped with, as rows: domain, decider, consulted roles, keys.

A shop replaces them by a change of the policy `decision_rights`; a test holds that every key there is stands here once.
"""

from __future__ import annotations

from typing import Literal

Row = tuple[Literal["IT", "Operations", "joint"], str, tuple[str, ...], str]

SHIPPED: tuple[Row, ...] = (
    ("joint", "Sponsor", ("Change Control Board",), """
        decision_rights.decisions decision_rights.quorum rights.roles
        change_control.templates change_control.blackouts change_control.window_budget change_control.review_hours
        people.timezone people.delegation_days_max people.notice_days people.governance_roles
        separation.roles separation.acts separation.self_approval_hours amount_limits.limits
        change_control.watch_hours change_control.emergency_price_per_day change_control.currency
    """),
    ("Operations", "Operations Process Owner", ("Fulfilment Lead",), """
        ladder.severities ladder.pause_hours ladder.recurrence_days rota.timezone rota.slots root_causes.causes
        calendar.week calendar.holidays calendar.country calendar.subdivision calendar.worked
        freeze.requests freeze.facts freeze.sell_percent freeze.sell_units buffers.buffers
        site_bands.capacity_min site_bands.capacity_max site_bands.cutoff_earliest site_bands.cutoff_latest
        holds.types holds.tables holds.timezone
        sourcing.when sourcing.groups sourcing.costs sourcing.fill
        promise.notice_after_days promise.consent_after_days promise.overdue_after_hours promise.horizon_days
        promise.severity promise.owner_role shipping.methods
        count.tolerance_units count.tolerance_money count.currency adjustment_reasons.reasons
    """),
    ("joint", "Operations Process Owner", ("IT Process Owner", "Order Agent"), """
        channel.location channel.locations channel.short channel.short_choices channel.cancellation_minutes
        channel.timezone channel.unpaid_minutes channel.reserve_minutes channel.duplicate_minutes channel.duplicates
        workflow.states workflow.transitions workflow.initial workflow.draft workflow.in_flight
    """),
    ("joint", "Finance", ("Operations Process Owner",), """
        tax.home tax.principle tax.union tax.services tax.exemptions tax.entries
        channel.rounding channel.apportion channel.prices_include_tax channel.tax channel.on_outage
        channel.freight channel.freight_code channel.freight_tax channel.freight_class
        item.unit_price item.currency item.price_on_pack item.tax_class
        exposure.correction_cost exposure.currency exposure.orders_per_day exposure.days
        case_pricing.margin case_pricing.lost_per_day case_pricing.floor_per_order_day
    """),
    ("joint", "Finance", ("Master Data Owner",), """
        partner.currency partner.in_force_from partner.in_force_until partner.minimum_order partner.payment_days
        partner.incoterm
    """),
    ("IT", "Integration Owner", ("Data Steward",), """
        partner.answer_within_minutes partner.order_cutoff
        feed.includes_reserved feed.includes_allocated feed.mass_share_percent feed.mass_change_percent
        feed.mass_change_units feed.mass_items_min
        mapping.source mapping.timezone mapping.currency mapping.channel mapping.decimal mapping.identical_rows
        mapping.credits_from mapping.files
    """),
    ("joint", "Integration Owner", ("IT Process Owner", "Operations Process Owner"), """
        writers.systems writer.order writer.item writer.customer writer.stock
    """),
    ("joint", "Sponsor", ("IT Process Owner", "Operations Process Owner", "Finance"), """
        guards.modes overriding.rules overriding.bearers overriding.currency overriding.notice_hours
    """),
    ("Operations", "Master Data Owner", ("Data Steward",), """
        fields.fields
        contract.id contract.version contract.status contract.owner_role contract.initiate_hours contract.severity
        contract.containment contract.entities contract.rest
        readiness.enforce readiness.sellable readiness.shippable readiness.returnable readiness.weight_g_min
        readiness.weight_g_max readiness.side_mm_min readiness.side_mm_max readiness.density_min readiness.density_max
        readiness.tax_classes field_ownership.owners field_ownership.timezone
        item.name item.kind item.gtin item.weight_g item.category item.phantom item.components item.tracking
        item.expires item.lead_days item.units item.fields item.length_mm item.width_mm item.height_mm item.packs
        item.return_days item.brand item.net_content item.net_content_unit item.formulation item.certifications
        item.supplier partner.name partner.kind partner.gln partner.country partner.timezone partner.fields
        partner.lead_days partner.claim_days partner.returns_days
        location.name location.kind location.country location.groups location.timezone location.latitude
        location.longitude location.postcode location.calendar location.handling_days location.pickup location.fields
    """),
)  # fmt: skip
