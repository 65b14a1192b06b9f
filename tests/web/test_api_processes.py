"""The server as it runs: several processes on one address, stopped by a signal; and asked everything it describes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.conftest import stocked
from tests.web.conftest import PLANNER, Client
from tests.web.test_api_writes import count, order_of

from trueup.core.door import Door

_PROGRAM = """
import sys
from pathlib import Path
from trueup import house
from trueup.core.settings import Settings
from trueup.web.server import serve

def tell(address):
    print(address, flush=True)

serve(Settings(home=Path("unused"), port=0), sys.argv[1], house.build(), int(sys.argv[2]), on_ready=tell)
print("put away", flush=True)
"""
_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@contextmanager
def server_process(url: str, processes: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve in a process of its own; yields it and its address."""
    program = [sys.executable, "-c", _PROGRAM, url, str(processes)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server, server.stdout.readline().strip()
        finally:
            server.kill()


async def test_two_processes_give_one_effect_and_one_answer(door: Door, url: str, tokens: dict[str, str]) -> None:
    await stocked(door, MUG=1000)
    with server_process(url, 2) as (_, address):
        # Each session has its own connections, which the kernel spreads over both processes.
        sessions = [aiohttp.ClientSession() for _ in range(16)]
        clients = [Client(session, address, tokens) for session in sessions]
        replies = await asyncio.gather(
            *(
                client.post("/v1/orders", order_of(), key=f"key {n}".replace(" ", "-"))
                for n in range(20)
                for client in clients
            )
        )
        await asyncio.gather(*(session.close() for session in sessions))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.body["result"]["order"] for reply in replies}) == count(url, "orders") == 20


async def test_it_stops_when_told_to_after_what_was_begun(door: Door, url: str, tokens: dict[str, str]) -> None:
    await stocked(door, MUG=1000)
    for processes in (1, 2):
        before = count(url, "orders")
        with server_process(url, processes) as (server, address):
            async with aiohttp.ClientSession() as session:
                client = Client(session, address, tokens)
                begun = [asyncio.create_task(client.post("/v1/orders", order_of())) for _ in range(30)]
                await asyncio.sleep(0.05)
                server.send_signal(signal.SIGTERM)
                replies = await asyncio.gather(*begun, return_exceptions=True)
            status = await asyncio.to_thread(server.wait, 30)
            assert status == 0
            assert server.stdout is not None
            assert server.stdout.read() == "put away\n", "the caller goes on, and can stop its database"
        placed = [reply for reply in replies if not isinstance(reply, BaseException) and reply.status == 201]
        assert count(url, "orders") - before >= len(placed)


async def test_every_answer_is_as_described(door: Door, url: str, tokens: dict[str, str]) -> None:
    await stocked(door, MUG=10)
    with server_process(url, 1) as (_, address):
        await asyncio.to_thread(_ask_everything, address, tokens[PLANNER])


def _ask_everything(address: str, token: str) -> None:
    schema = schemathesis.openapi.from_url(f"{address}/v1/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 40
    for operation in operations:

        @settings(
            max_examples=5,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(base_url=address, headers={"Authorization": f"Bearer {token}"}, checks=_CHECKS)

        ask()
