"""How far an item's data carries it: draft -> sellable -> shippable -> returnable, by rules that a policy chooses.

Each rule is asked twice in the same words: of one item in memory, and of all items in a list as a condition of the
database; a test holds that both say the same.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar, Literal, get_args

import msgspec

from trueup.catalogue.lead import LEAD_DAYS, lead_days
from trueup.catalogue.sound import SIDES
from trueup.catalogue.state import Item
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.policy import Fault, Known, Policy
from trueup.core.quantity import Quantity, plain

Step = Literal["draft", "sellable", "shippable", "returnable"]
STEPS: tuple[Step, ...] = get_args(Step)
RuleName = Literal[
    "name", "price", "gtin_valid", "gtin_present", "tax_class", "lead_time", "weight_known", "weight_plausible",
    "dimensions_known", "dimensions_plausible", "density_plausible", "pack_levels", "return_terms",
]  # fmt: skip


class ReadinessPolicy(Policy, frozen=True, kw_only=True):
    """Which rules are asked at which step, and the bands within which a figure is believed; bounds are within.

    enforce: what is not sellable cannot be ordered, and what is not shippable cannot be allocated to a parcel; without
    it, what is missing is listed only. weight_g: grams of one unit. side_mm: of its length, width and height.
    density: grams per cubic centimetre. tax_classes: those there are; empty takes any.
    """

    kind: ClassVar[str] = "readiness"
    names: ClassVar[tuple[str, ...]] = ("default",)
    enforce: bool = False
    sellable: tuple[RuleName, ...] = ("name", "gtin_valid", "tax_class")
    shippable: tuple[RuleName, ...] = (
        "weight_known", "weight_plausible", "dimensions_known", "dimensions_plausible", "density_plausible",
        "pack_levels", "lead_time",
    )  # fmt: skip
    returnable: tuple[RuleName, ...] = ("return_terms",)
    weight_g_min: Quantity = Quantity("0.1")
    weight_g_max: Quantity = Quantity(1_000_000)
    side_mm_min: Quantity = Quantity("0.1")
    side_mm_max: Quantity = Quantity(5_000)
    density_min: Quantity = Quantity("0.005")
    density_max: Quantity = Quantity(23)
    tax_classes: tuple[str, ...] = ()

    def faults(self, known: Known) -> list[Fault]:
        """Return bands that hold nothing, and rules that are asked at two steps."""
        found = [
            Fault(f"{name}_min", plain(least), f"it is not from 0 to {name}_max, so nothing is plausible")
            for name, least, most in (
                ("weight_g", self.weight_g_min, self.weight_g_max),
                ("side_mm", self.side_mm_min, self.side_mm_max),
                ("density", self.density_min, self.density_max),
            )
            if not 0 <= least <= most
        ]
        asked = [(step, rule) for step in STEPS[1:] for rule in self.rules_of(step)]
        rules = [rule for _, rule in asked]
        return found + [
            Fault(step, rule, "a rule is asked at one step, once")
            for at, (step, rule) in enumerate(asked)
            if rule in rules[:at]
        ]

    def rules_of(self, step: Step) -> tuple[RuleName, ...]:
        """Return the rules asked at a step; at draft there are none."""
        rules: tuple[RuleName, ...] = () if step == "draft" else getattr(self, step)
        return rules


class Missing(msgspec.Struct, frozen=True):
    """One rule that an item does not keep: at which step, in which field, why, and what to do."""

    step: Step
    rule: RuleName
    field: str
    reason: str
    fix: str


class Readiness(msgspec.Struct, frozen=True):
    """The highest step whose rules, and those of the steps below it, all hold; and what is missing at every step."""

    step: Step
    missing: tuple[Missing, ...]

    def reaches(self, step: Step) -> bool:
        """Tell whether the item is at a step or beyond it."""
        return STEPS.index(self.step) >= STEPS.index(step)

    def below(self, step: Step) -> tuple[Missing, ...]:
        """Return what keeps the item from a step: what is missing there and at the steps before it."""
        return tuple(one for one in self.missing if STEPS.index(one.step) <= STEPS.index(step))


class _Rule(msgspec.Struct, frozen=True):
    """One rule. of: an item -> what is wrong, or None. sql: holds for the items `i` that keep it. goods: only asked of
    what has a body of its own, not of charges and phantom kits."""

    field: str
    fix: str
    of: Callable[[Item, ReadinessPolicy], str | None]
    sql: Callable[[ReadinessPolicy], tuple[str, list[Any]]]
    goods: bool = True


def readiness(item: Item, policy: ReadinessPolicy, agreed: int | None) -> Readiness:
    """Return how far the item's data carries it under the policy; pure. agreed: its supplier's lead time."""
    if item.lead_days is None and agreed is not None:
        item = msgspec.structs.replace(item, lead_days=lead_days(item, agreed))
    missing: list[Missing] = []
    for step in STEPS[1:]:
        for name in policy.rules_of(step):
            rule = RULES[name]
            reason = None if rule.goods and not has_body(item) else rule.of(item, policy)
            if reason is not None:
                missing.append(Missing(step, name, rule.field, reason, rule.fix))
    lacking = {one.step for one in missing}
    reached: Step = "draft"
    for step in STEPS[1:]:
        if step in lacking:
            break
        reached = step
    return Readiness(reached, tuple(missing))


def has_body(item: Item) -> bool:
    """Tell whether something of it lies on a shelf: a charge has nothing, and of a phantom kit its parts do."""
    return item.kind != "charge" and not item.phantom


def condition_of(step: Step, policy: ReadinessPolicy) -> tuple[str, list[Any]]:
    """Return the SQL condition, on items `i`, that holds for those whose readiness is exactly this step."""
    at = STEPS.index(step)
    parts: list[str] = []
    parameters: list[Any] = []
    for reached in STEPS[1 : at + 1]:
        sql, values = _all_of(reached, policy)
        parts.append(sql)
        parameters += values
    if at + 1 < len(STEPS):
        sql, values = _all_of(STEPS[at + 1], policy)
        parts.append(f"not ({sql})")
        parameters += values
    return " and ".join(parts), parameters


def _all_of(step: Step, policy: ReadinessPolicy) -> tuple[str, list[Any]]:
    parts: list[str] = []
    parameters: list[Any] = []
    for name in policy.rules_of(step):
        rule = RULES[name]
        sql, values = rule.sql(policy)
        parts.append(f"(i.kind = 'charge' or i.phantom or ({sql}))" if rule.goods else f"({sql})")
        parameters += values
    return " and ".join(parts) or "true", parameters


def not_ready(
    item: Item, step: Step, policy: ReadinessPolicy, agreed: int | None, owners: Callable[[str], str], where: str = ""
) -> Refusal:
    """Return the refusal of an item that has not reached a step. agreed: as above; owners: a field -> who owns it."""
    missing = readiness(item, policy, agreed).below(step)
    said = "; ".join(f"{one.reason} ({owners(one.field)})" for one in missing)
    details = tuple(RefusalDetail(one.field, item.sku, f"{one.reason}; {one.fix}") for one in missing)
    return Refusal(f"catalogue.not_{step}", f"{item.sku} is not {step}: {said}.",
                   f"{missing[0].fix} {owners(missing[0].field)} owns that; it holds as soon as it is amended.",
                   where, item.sku, details)  # fmt: skip


def _known(field: str, what: str) -> Callable[[Item, ReadinessPolicy], str | None]:
    return lambda item, policy: f"{what} missing" if getattr(item, field) is None else None


def _present(field: str) -> Callable[[ReadinessPolicy], tuple[str, list[Any]]]:
    return lambda policy: (f"i.{field} is not null", [])


def _band(value: Decimal, least: Decimal, most: Decimal, what: str, unit: str) -> str | None:
    if least <= value <= most:
        return None
    return f"{what} of {plain(value)} {unit} is not plausible: {plain(least)} to {plain(most)} is"


def _weight(item: Item, policy: ReadinessPolicy) -> str | None:
    if item.weight_g is None:
        return None
    return _band(item.weight_g, policy.weight_g_min, policy.weight_g_max, "weight", "g")


def _sides(item: Item) -> list[Decimal] | None:
    sides = [getattr(item, side) for side in SIDES]
    return None if None in sides else sides


def _dimensions(item: Item, policy: ReadinessPolicy) -> str | None:
    lacking = [side.removesuffix("_mm") for side in SIDES if getattr(item, side) is None]
    return f"{' and '.join(', '.join(lacking).rsplit(', ', 1))} missing" if lacking else None


def _sizes(item: Item, policy: ReadinessPolicy) -> str | None:
    found = (
        _band(getattr(item, side), policy.side_mm_min, policy.side_mm_max, side.removesuffix("_mm"), "mm")
        for side in SIDES
        if getattr(item, side) is not None
    )
    return next((reason for reason in found if reason is not None), None)


def _density(item: Item, policy: ReadinessPolicy) -> str | None:
    sides = _sides(item)
    if sides is None or item.weight_g is None:
        return None
    volume = sides[0] * sides[1] * sides[2]
    if policy.density_min * volume <= item.weight_g * 1000 <= policy.density_max * volume:
        return None
    size = " x ".join(plain(side) for side in sides)
    return f"{plain(item.weight_g)} g in {size} mm is not plausible: too {'light' if _light(item, policy) else 'heavy'}"


def _light(item: Item, policy: ReadinessPolicy) -> bool:
    sides = _sides(item) or [Decimal(0)] * 3
    return (item.weight_g or Decimal(0)) * 1000 < policy.density_min * sides[0] * sides[1] * sides[2]


def _packs(item: Item, policy: ReadinessPolicy) -> str | None:
    if "packs.inconsistent" in item.findings:
        return "levels of packing contradict each other or the units"
    return "a level of packing has no GTIN" if "packs.no_gtin" in item.findings else None


def _tax_class(item: Item, policy: ReadinessPolicy) -> str | None:
    if not item.tax_class.strip():
        return "tax class missing"
    if policy.tax_classes and item.tax_class not in policy.tax_classes:
        return f"there is no tax class {item.tax_class!r}"
    return None


def _tax_class_sql(policy: ReadinessPolicy) -> tuple[str, list[Any]]:
    if not policy.tax_classes:
        return "btrim(i.tax_class) <> ''", []
    return "btrim(i.tax_class) <> '' and i.tax_class = any(%s::text[])", [list(policy.tax_classes)]


def _sides_sql(policy: ReadinessPolicy) -> tuple[str, list[Any]]:
    parts = [f"(i.{side} is null or i.{side} between %s and %s)" for side in SIDES]
    return " and ".join(parts), [policy.side_mm_min, policy.side_mm_max] * 3


_VOLUME = " * ".join(f"i.{side}" for side in SIDES)
_MEASURE = "Measure it, and amend the item."

RULES: dict[RuleName, _Rule] = {
    "name": _Rule(
        "name", "Give it a name.", lambda i, p: None if i.name.strip() else "name missing",
        lambda p: ("btrim(i.name) <> ''", []), goods=False,
    ),
    "price": _Rule("unit_price", "Give it a list price.", _known("unit_price", "list price"), _present("unit_price"),
                   goods=False),
    "gtin_valid": _Rule(
        "gtin", "Send the GTIN with the right check digit.",
        lambda i, p: "the GTIN that was sent does not check" if "gtin.invalid" in i.findings else None,
        lambda p: ("not i.findings @> array['gtin.invalid']", []), goods=False,
    ),
    "gtin_present": _Rule("gtin", "Assign a GTIN.", _known("gtin", "GTIN"), _present("gtin"), goods=False),
    "tax_class": _Rule("tax_class", "Choose its tax class.", _tax_class, _tax_class_sql, goods=False),
    "lead_time": _Rule("lead_days", "Say how many days it takes from ordering it to receiving it, or agree it with its "
                       "supplier.", _known("lead_days", "lead time"), lambda policy: (f"{LEAD_DAYS} is not null", [])),
    "weight_known": _Rule("weight_g", "Weigh one unit as it is packed, and amend the item.",
                          _known("weight_g", "weight"), _present("weight_g")),
    "weight_plausible": _Rule(
        "weight_g", "Weigh it again; the policy `readiness` holds the band.", _weight,
        lambda p: ("i.weight_g is null or i.weight_g between %s and %s", [p.weight_g_min, p.weight_g_max]),
    ),
    "dimensions_known": _Rule(
        "length_mm", _MEASURE, _dimensions,
        lambda p: (" and ".join(f"i.{side} is not null" for side in SIDES), []),
    ),
    "dimensions_plausible": _Rule("length_mm", _MEASURE, _sizes, _sides_sql),
    "density_plausible": _Rule(
        "weight_g", "Weigh and measure it again: one of the figures is in the wrong unit, perhaps.", _density,
        lambda p: (f"coalesce(i.weight_g * 1000 between %s * {_VOLUME} and %s * {_VOLUME}, true)",
                   [p.density_min, p.density_max]),
    ),
    "pack_levels": _Rule(
        "packs", "Say of each level what it holds, and its GTIN; its units must come to the same.", _packs,
        lambda p: ("not i.findings && array['packs.inconsistent', 'packs.no_gtin']", []),
    ),
    "return_terms": _Rule("return_days", "Say within how many days it may come back; 0 is never.",
                          _known("return_days", "return terms"), _present("return_days")),
}  # fmt: skip
