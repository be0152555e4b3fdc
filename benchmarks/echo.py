"""The bare client that the bot is compared with: answers every message of a room, and does nothing else.

Run as a process of its own: ``python -m benchmarks.echo BASE USER PASSWORD ROOM``.
"""

from __future__ import annotations

import asyncio
import sys

from demo.matrix_client import MatrixClient


async def main(base: str, user: str, password: str, room: str) -> None:
    """Until killed."""
    async with MatrixClient(base, user, password) as client:
        await client.join(room)
        print("ready", flush=True)
        seen = 0
        while True:
            event = await client.wait_for(
                lambda e: e.room == room and e.type == "m.room.message" and e.sender != client.user_id,
                timeout_s=3600,
                after=seen,
            )
            seen = client.seen.index(event) + 1
            await client.send(room, "pong", reply_to=event.id)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
