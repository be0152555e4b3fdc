"""Plays the flows on a started stack and sums up."""

from __future__ import annotations

from demo.flows import PLAY
from demo.scene import Result, Scene
from demo.stack import Stack
from demo.transcript import Transcript


async def play(stack: Stack, bot_started: float) -> list[Result]:
    """Every flow in turn, printed as it happens; the results. ``bot_started`` is a monotonic time."""
    operator, outsider = stack.people
    people = {stack.ids["operator"]: "operator", stack.ids["outsider"]: "outsider", stack.ids["bot"]: "fleet"}
    transcript = Transcript({room: name for name, room in stack.rooms.items()}, people)
    scene = Scene(operator, outsider, stack.fleet, stack.rooms, stack.ids["bot"], transcript, bot_started)
    for name, words, flow in PLAY:
        await scene.play(name, words, flow)
    return scene.results


def summary(results: list[Result]) -> list[str]:
    """The flows with their latency, one line each, and how many worked."""
    lines = [f"{'flow':<22} {'ok':<4} latency"]
    for one in results:
        took = "-" if one.latency_s is None else f"{one.latency_s:6.2f} s"
        lines.append(f"{one.name:<22} {'yes' if one.ok else 'NO':<4} {took}")
    good = sum(one.ok for one in results)
    lines.append(f"{good} of {len(results)} flows worked")
    return lines
