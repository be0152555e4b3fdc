"""The failure that a handler expects: said in words, with its exit code."""

from __future__ import annotations


class CommandFailed(Exception):
    """What happened, where, and the mend. ``exit_code`` as 06-interfaces lists them."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code
