"""Words that exports use, in English and German and some French, Spanish and Dutch."""

from __future__ import annotations

# Codes and descriptions that read like a charge rather than goods.
CHARGE_WORDS = """
    postage post porto shipping shipment freight fracht frachtkosten versand versandkosten lieferkosten delivery carriage
    handling fee fees gebuehr gebühr gebuhr gebühren bearbeitungsgebühr charge charges surcharge zuschlag mautzuschlag
    discount rabatt nachlass skonto korjektur korrektur adjust adjustment manual anpassung ausgleich storno
    giftwrap geschenkverpackung verpackung packaging wrapping bank bankgebühr bankspesen spesen commission provision
    amazonfee insurance versicherung service servicegebühr samples voucher gutschein coupon rounding rundung deposit
    pfand frais port remise envio envío gastos descuento verzendkosten korting toeslag tax steuer mwst duty zoll cod
    nachnahme expressversand expresszuschlag mindermengenzuschlag
""".split()
CHARGE_PATTERN = (
    r"(^|[^\p{L}])(" + "|".join(sorted(set(CHARGE_WORDS), key=len, reverse=True)) + r"|gift[ _-]?wrap\w*|dotcom ?postage)"
    r"($|[^\p{L}])"
)
