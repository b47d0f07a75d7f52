"""Single keys from the keyboard in front of us, on Linux, macOS and Windows."""

from __future__ import annotations

import sys

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

        def begin(self) -> None:
            """Nothing has to be set."""

        def end(self) -> None:
            """Nothing was set."""

        def resume(self) -> None:
            """Windows suspends no programs."""

        def key(self, seconds: float) -> str:
            """The next key, or "" when none comes in time."""
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
            return typed

else:
    import os
    import select
    import termios
    import tty

    ESCAPE = "\x1b"
    REST_OF_KEY = 0.02  # seconds until the rest of a key that is no letter has come

    class Keyboard:
        """A terminal that hands out single keys from `begin` to `end`."""

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
            if not self._has_more(seconds):
                return ""
            typed = os.read(self._descriptor, 1).decode(errors="replace") or END_OF_INPUT
            if typed != ESCAPE:
                return typed
            self._skip_rest()
            return ""

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
