"""Every kind of policy is seen and published at the console; a mistake is shown at the line where it stands."""

from __future__ import annotations

import html
import json

from tests.requests import rows
from tests.web.console_visitor import Visitor, console, person, signed_in

from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.errors import RefusalDetail
from trueup.house import POLICY_KINDS
from trueup.web.console.pages.policies import marked


def test_a_fault_stands_at_its_line_or_at_the_nearest_around_it():
    document = {"states": [{"name": "placed"}], "transitions": [{"from": "placed", "to": "nowhere"}], "initial": "x"}
    lines = marked(
        document,
        [
            RefusalDetail("transitions[0].to", "nowhere", "there is no state"),
            RefusalDetail("transitions[0].submit.command", "", "bind another"),
            RefusalDetail("", "", "unknown field"),
        ],
    )
    found = {line.text.strip(): line.faults for line in lines if line.faults}
    assert found['"to": "nowhere"'] == ("there is no state",)
    assert found["{"] == ("unknown field",) or found["{"] == ("transitions[0].submit.command: bind another",)
    assert [line.text for line in lines if "transitions[0].submit.command: bind another" in line.faults] == ["    {"]
    assert json.loads("".join(line.text for line in lines)) == document


async def published(visitor: Visitor, kind: str, name: str, text: str) -> str:
    """Send the page's form; return what the page says then."""
    page = await visitor.fill_in(
        f"/policies/{kind}", f"/policies/{kind}", name=name, reason="the shop wants it", document=text
    )
    return html.unescape(page.text)


async def test_a_workflow_is_published_and_its_mistakes_stand_in_place(door: Door, url: str, clock: TurnedClock):
    admin = await person(door, "Admin", "Administrator")
    async with console(url, clock) as address, signed_in(url, clock, address, admin) as visitor:
        assert "in force: nobody has published another" in (await visitor.get("/policies/workflow")).text
        text = html.unescape((await visitor.get("/policies/workflow")).text.split("<textarea")[1])
        document = json.loads(text.partition(">")[2].partition("</textarea>")[0])
        document["transitions"][0]["to"] = "nowhere"
        told = await published(visitor, "workflow", "sale", json.dumps(document))
        assert 'class="at">      "to": "nowhere"' in told
        assert "▲ there is no state 'nowhere'" in told
        assert "Nothing was written" in told
        assert "line 1, column 2" in await published(visitor, "workflow", "sale", "{no json")
        assert "is no object" in await published(visitor, "workflow", "sale", "[]")
        assert await rows(url, "select count(*) from policy") == [(0,)]
        document["transitions"][0]["to"] = "placed"
        told = await published(visitor, "workflow", "sale", json.dumps(document))
        assert "<strong>Done.</strong>" in told
        assert "version 1" in told
    assert await rows(url, "select kind, name, version from policy_active") == [("workflow", "sale", 1)]


async def test_every_kind_has_a_page_and_only_who_may_publishes(door: Door, url: str, clock: TurnedClock):
    auditor = await person(door, "Olga", "Auditor")
    async with console(url, clock) as address, signed_in(url, clock, address, auditor) as visitor:
        listed = (await visitor.get("/policies")).text
        for kind in sorted(POLICY_KINDS):
            page = await visitor.get(f"/policies/{kind}")
            assert page.status == 200, kind
            assert "Shipped default" in page.text
            assert "Publishing is for: Administrator." in page.text
            assert f'href="/policies/{kind}"' in listed
        form = (await visitor.get("/policies/tax")).hidden("/policies/tax")
        sent = await visitor.post("/policies/tax", {**form, "name": "x", "reason": "y", "document": "{}"})
        assert sent.status == 403
    assert await rows(url, "select count(*) from policy") == [(0,)]
