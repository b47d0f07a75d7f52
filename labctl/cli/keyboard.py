"""Single keys from the keyboard in front of us, on Linux, macOS and Windows.

One that was pressed while the keyboard writes Hangul counts as the Latin letter on it.
"""

from __future__ import annotations

import sys

from labctl.exercise.hangul import as_typed

__all__ = ["END_OF_INPUT", "Keyboard"]

END_OF_INPUT = "\x04"

if sys.platform == "win32":
    import msvcrt
    import time

    INTERRUPT = "\x03"
    SPECIAL = ("\x00", "\xe0")  # the first half of a key that is no letter
    LOOK = 0.05  # seconds between two looks: nothing waits for this keyboard

    class Keyboard:
        """Windows' console, which hands out single keys to whoever asks."""

        def __init__(self) -> None:
            self._waiting = ""  # keys that came with another one

        def begin(self) -> None:
            """Nothing has to be set."""

        def end(self) -> None:
            """Nothing was set."""

        def resume(self) -> None:
            """Windows suspends no programs."""

        def key(self, seconds: float) -> str:
            """The next key, or "" when none comes in time."""
            if self._waiting:
                return self._next(self._waiting)
            until = time.monotonic() + seconds
            while not msvcrt.kbhit():
                if time.monotonic() >= until:
                    return ""
                time.sleep(LOOK)
            typed = msvcrt.getwch()
            if typed in SPECIAL:  # its name comes behind it
                msvcrt.getwch()
                return ""
            if typed == INTERRUPT:
                raise KeyboardInterrupt
            return self._next(as_typed(typed))

        def _next(self, keys: str) -> str:
            self._waiting = keys[1:]
            return keys[:1]

else:
    import os
    import select
    import termios
    import tty

    ESCAPE = b"\x1b"
    REST_OF_KEY = 0.02  # seconds until the rest of a key that is no letter has come

    class Keyboard:
        """A terminal that hands out single keys from `begin` to `end`."""

        def __init__(self) -> None:
            self._waiting = ""  # keys that came with another one: a syllable is several

        def begin(self) -> None:
            """Let keys come one by one, unseen."""
            self._descriptor = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)

        def end(self) -> None:
            """Leave the terminal as it was."""
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

        def resume(self) -> None:
            """Let keys come one by one again: after Ctrl-Z and `fg` the shell has its own way with the terminal."""
            tty.setcbreak(self._descriptor)

        def key(self, seconds: float) -> str:
            """The next key, or "" when none comes in time."""
            if self._waiting:
                return self._next(self._waiting)
            if not self._has_more(seconds):
                return ""
            typed = os.read(self._descriptor, 1) or END_OF_INPUT.encode()
            if typed == ESCAPE:
                self._skip_rest()
                return ""
            return self._next(as_typed(self._whole(typed).decode(errors="replace")))

        def _next(self, keys: str) -> str:
            self._waiting = keys[1:]
            return keys[:1]

        def _whole(self, first: bytes) -> bytes:
            """A character whose first byte was read: UTF-8 says in that byte how many there are."""
            lengths = (length for length, least in ((4, 0xF0), (3, 0xE0), (2, 0xC0)) if first[0] >= least)
            return first + b"".join(self._byte() for _ in range(next(lengths, 1) - 1))

        def _skip_rest(self) -> None:
            """Read what belongs to a key that is no letter: an arrow, a function key, Alt with a letter (ECMA-48)."""
            first = self._byte()
            if first == b"O":  # SS3: one more
                self._byte()
            while first == b"[" and (part := self._byte()) and not b"@" <= part <= b"~":
                pass

        def _byte(self) -> bytes:
            return os.read(self._descriptor, 1) if self._has_more(REST_OF_KEY) else b""

        def _has_more(self, seconds: float) -> bool:
            ready, _, _ = select.select([self._descriptor], [], [], seconds)
            return bool(ready)
