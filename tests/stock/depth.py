"""Commands about buckets, lots, transfers and counts in few words, and what tests read of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from tests.conftest import START
from tests.requests import rows

from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import KitPart, RegisterItem, RegisterLocation
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.core.verb import Outcome
from trueup.stock.buckets import RestateStock
from trueup.stock.counting import FoundLine, RecordCount
from trueup.stock.receive import ReceivedLine, ReceivedLot, ReceiveStock
from trueup.stock.transfer import ReceivedTransferLine, ReceiveTransfer, ShipTransfer, TransferredLine

DAY = START.date()


async def places(door: Door, *codes: str) -> None:
    """Register locations."""
    for code in codes:
        await done(door, RegisterLocation(code=code, name=code.title()))


async def item(door: Door, sku: str, **more: Any) -> None:
    """Register an item."""
    parts = tuple(KitPart(sku=part, quantity=Quantity(count)) for part, count in more.pop("parts", {}).items())
    await done(door, RegisterItem(sku=sku, name=sku.title(), components=parts, **more))


_keys = iter(range(1_000_000))


async def tell(door: Door, command: Any, actor: Any = SYSTEM) -> Outcome:
    """Submit a command under a key of its own."""
    return await door.submit(actor, command, f"depth {next(_keys)}")


async def done(door: Door, command: Any, actor: Any = SYSTEM) -> Outcome:
    """Submit a command that must be applied."""
    outcome = await tell(door, command, actor)
    assert outcome.status == "applied", outcome
    return outcome


async def refused(door: Door, command: Any, actor: Any = SYSTEM) -> str:
    """Submit a command that must be refused; return the rule."""
    outcome = await tell(door, command, actor)
    assert outcome.status == "refused", outcome
    assert outcome.refusal is not None
    assert outcome.refusal.what
    assert outcome.refusal.fix
    return outcome.refusal.rule


def lots(
    *named: tuple[str, int, date | None], sku: str = "MILK", location: str = "MAIN", units: int = 0
) -> ReceiveStock:
    """A receipt of lots: (lot, units, expiry); units: more than they sum to, when some are unidentified."""
    total = units or sum(count for _, count, _ in named)
    line = ReceivedLine(sku, Quantity(total), lots=tuple(ReceivedLot(n, Quantity(c), e) for n, c, e in named))
    return ReceiveStock(location=location, lines=(line,), reference="note")


def restate(units: int, source: str, target: str, sku: str = "MUG", **more: Any) -> RestateStock:
    """A change of status at MAIN."""
    return RestateStock(location="MAIN", sku=sku, quantity=Quantity(units), from_status=source, to_status=target,  # type: ignore[arg-type]
                        reason="looked at", reference="R-1", **more)  # fmt: skip


def ship(**units: int) -> ShipTransfer:
    """A transfer from MAIN to SHOP."""
    lines = tuple(TransferredLine(sku, Quantity(count)) for sku, count in units.items())
    return ShipTransfer(from_location="MAIN", to_location="SHOP", lines=lines, reference="T-1")


def arrive(transfer: str, *, close: bool = False, **units: int) -> ReceiveTransfer:
    """What arrived of a transfer."""
    lines = tuple(ReceivedTransferLine(sku, Quantity(count)) for sku, count in units.items())
    return ReceiveTransfer(transfer=transfer, lines=lines, close=close)


def found(count: str, at: datetime = START, **units: int) -> RecordCount:
    """What somebody counted."""
    return RecordCount(count=count, lines=tuple(FoundLine(sku, Quantity(n), at) for sku, n in units.items()))


async def balance(url: str, sku: str = "MUG", location: str = "MAIN") -> dict[str, int]:
    """Return a balance's figures that are not zero, in whole units."""
    names = ("on_hand", "reserved", "allocated", "owed", "damaged", "quality", "quarantined")
    found = await rows(
        url,
        f"""select {", ".join("b." + name for name in names)} from stock_balance b join item i on i.id = b.item
        join location l on l.id = b.location where i.sku = %s and l.code = %s""",
        sku,
        location,
    )
    return {name: int(units) for name, units in zip(names, found[0], strict=True) if units} if found else {}


async def lots_of(url: str, sku: str = "MILK", location: str = "MAIN") -> dict[str, int]:
    """Return the units on hand by lot."""
    return {
        lot: int(units)
        for lot, units in await rows(
            url,
            """select s.lot, s.on_hand from stock_lot s
            join item i on i.id = s.item join location l on l.id = s.location
            where i.sku = %s and l.code = %s and s.on_hand > 0 order by s.lot""",
            sku,
            location,
        )
    }


async def account(url: str, name: str, sku: str = "MUG") -> int:
    """Return the net units that went to an account."""
    net = await rows(
        url,
        """select coalesce(sum(case when to_account::text = %s then quantity else 0 end
            - case when from_account::text = %s then quantity else 0 end), 0)
        from stock_movement m join item i on i.id = m.item where i.sku = %s""",
        name,
        name,
        sku,
    )
    return int(net[0][0])


async def cases(url: str) -> list[str]:
    """Return the kinds of the open cases."""
    return [kind for (kind,) in await rows(url, "select kind from cases where closed_at is null order by kind")]
