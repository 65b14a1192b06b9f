"""One side of an impact replay as a process of its own: a job comes in on stdin, what it came to goes out."""

from __future__ import annotations

import asyncio
import gc
import sys

import msgspec

from trueup import house
from trueup.core import json
from trueup.core.policy import read_proposed
from trueup.oversight.impact import Job, side


def main() -> None:
    """Replay the side that stdin asks for."""
    job = json.decode(sys.stdin.buffer.read(), Job)
    built = house.build()
    documents = {(kind, name): read_proposed(built.kinds[kind], bytes(raw)) for kind, name, raw in job.documents}
    # Rows are plain trees: counting references frees them, and looking for cycles among them only costs.
    gc.disable()
    answer = asyncio.run(side(job.url, built, job.window, documents, job.adopting))
    sys.stdout.buffer.write(msgspec.msgpack.encode(answer))


if __name__ == "__main__":
    main()
