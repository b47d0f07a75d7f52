"""stdin, stdout and stderr as commands get them: open, in any encoding, and without others' control characters.

What others wrote (names of services, titles of exercises, nodes' messages) goes through `write` here, and must not
steer the terminal. What it holds of no encoding's characters falls back to something readable, but for the bytes that
Python could not read in a name or a path: through a pipe they come out as they came in.
A node's own output goes out as it is through a pipe (`write_bytes`). On a terminal `exec` and `logs` spell it out
(`readable`): one node could else write over what others said. `labctl ssh` is the user's own session.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from labctl.errors import OutputFailed

__all__ = ["as_it_is", "drawn_on", "plain", "readable", "safe_streams", "spelled", "typed", "write_bytes"]

FALLBACK = "labctl-readable"
# C0 without tab and newline, DEL, C1, and what turns the direction of text around.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Bytes that are no characters where they were read: of an argument, a path, a node's output ("surrogateescape").
BYTES = re.compile("[\udc80-\udcff]+")
BYTE_IN_REPR = re.compile(r"\\udc([89a-f][0-9a-f])")
READABLE = {
    "✓": "ok", "✔": "ok", "✗": "x", "✘": "x", "●": "*", "◌": "o", "○": "o", "★": "*", "•": "*", "·": "-",
    "→": "->", "←": "<-", "↑": "^", "↓": "v", "…": "...", "×": "x", "–": "-", "—": "-", "“": '"', "”": '"', "„": '"',
    "‘": "'", "’": "'", "█": "#", "▓": "#", "▒": ":", "░": ".", "▌": "|", "❱": ">", "❯": ">",
}  # fmt: skip
LEVEL, UPRIGHT = "─━┄┅┈┉╌╍═╴╶╸╺╼╾", "│┃┆┇┊┋╎╏║╵╷╹╻╽╿▏"


def plain(text: str) -> str:
    """Return text with its control characters shown (`\\x1b`) in the place of done."""
    return CONTROL.sub(lambda found: _shown(found[0]), text)


def spelled(text: str) -> str:
    """The text with each byte that is no character in it shown (`\\xc3`)."""
    return BYTES.sub(lambda found: "".join(f"\\x{ord(one) - 0xDC00:02x}" for one in found[0]), text)


def readable(text: str, stream: TextIO | None = None) -> str:
    """Return a node's output for a terminal: as `plain` does, and each of the ways to end a line is a newline.

    What the stream's encoding does not have is spelled out as well: nothing that a node wrote is changed in silence.
    """
    shown = spelled(plain(text.replace("\r\n", "\n").replace("\r", "\n")))
    below = as_it_is(stream) if stream is not None else None
    encoding = getattr(below, "encoding", None) or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def typed(text: str) -> str:
    """Return a message whose `repr` of a word has the bytes of that word as a shell takes them: `\\xc3`."""
    return BYTE_IN_REPR.sub(r"\\x\1", text)


def write_bytes(content: bytes, stream: TextIO) -> None:
    """Write what a node wrote to sys.stdout or sys.stderr, byte by byte. Raises OutputFailed."""
    below = as_it_is(stream)
    with stream.told() if isinstance(stream, _Output) else contextlib.nullcontext():
        below.flush()
        if hasattr(below, "buffer"):
            below.buffer.write(content)
        else:
            below.write(content.decode(errors="replace"))
        below.flush()


def as_it_is(stream: TextIO) -> TextIO:
    """The stream for what a node's own command said: nothing is changed on the way."""
    return stream.below if isinstance(stream, _Output) else stream


def drawn_on(stream: TextIO) -> TextIO:
    """The stream for control sequences of our own: nothing is changed on the way, and what fails is told as ever."""
    return cast(TextIO, _Drawn(stream.below, is_aside=stream.is_aside)) if isinstance(stream, _Output) else stream


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """Let sys.stdin, sys.stdout and sys.stderr be safe to ask and to write to in the block."""
    codecs.register_error(FALLBACK, _readable)
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = _opened(before[0], 0, "r")
    sys.stdout = _Output.over(_opened(before[1], 1, "w"))
    sys.stderr = _Output.over(_opened(before[2], 2, "w"), is_aside=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        sys.stdin, sys.stdout, sys.stderr = before


class _Output(io.TextIOBase):
    """A stream to people: what is no character of theirs is replaced, what they cannot see is spelled out.

    One that `is_aside` is not what a command is for: where it takes no more, the rest is dropped, and the work goes on.
    """

    def __init__(self, below: TextIO, *, is_aside: bool = False) -> None:
        self.below = below
        self.is_aside = is_aside

    @classmethod
    def over(cls, below: TextIO, *, is_aside: bool = False) -> TextIO:
        """Wrap a stream, once."""
        if isinstance(below, cls):
            return cast(TextIO, below)
        if isinstance(below, io.TextIOWrapper) and below.errors != FALLBACK:
            below.reconfigure(errors=FALLBACK)
        return cast(TextIO, cls(below, is_aside=is_aside))

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a property there too, which has no type
        """Any character may be written. click would otherwise write UTF-8 past a stream of ASCII."""
        return "utf-8"

    @property
    def buffer(self) -> Any:
        """The bytes below."""
        return self.below.buffer

    def write(self, text: str, /) -> int:
        """Write text without its control characters. Raises OutputFailed."""
        shown = plain(text)
        with self.told():
            self.below.write(spelled(shown) if BYTES.search(shown) and self.isatty() else shown)
        return len(text)

    def flush(self) -> None:
        """Let it be seen. Raises OutputFailed."""
        with self.told():
            self.below.flush()

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Make what keeps an output from being written known as that; a pipe without a reader stays what it is."""
        try:
            yield
        except OSError as problem:
            if self.is_aside:
                self.below = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  it is written to until the end
            elif isinstance(problem, BrokenPipeError):
                raise
            else:
                raise OutputFailed(problem.errno or errno.EIO, problem.strerror or str(problem)) from problem

    def isatty(self) -> bool:
        """Whether somebody sits there."""
        return self.below.isatty()

    def fileno(self) -> int:
        """The descriptor below."""
        return self.below.fileno()

    def writable(self) -> bool:
        """Yes."""
        return True

    def close(self) -> None:
        """The stream below is not ours to close; neither is it at the end of this object."""


class _Drawn(_Output):
    """The same for one who draws, and has spelled out what others wrote; its characters are those of the stream."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # as above
        """What the stream below can write."""
        return self.below.encoding

    def write(self, text: str, /) -> int:
        """Write text as it is. Raises OutputFailed."""
        with self.told():
            self.below.write(text)
        return len(text)


def _opened(stream: TextIO | None, number: int, mode: str) -> TextIO:
    """The stream; where it is closed, one that leads nowhere, and its descriptor is taken by that too."""
    if stream is not None and not stream.closed:
        return stream
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        os.fstat(number)
    except OSError:
        # Else the next file or socket that is opened would be taken for it, by us and by every child.
        os.dup2(nowhere, number)
    if nowhere != number:
        os.close(nowhere)
    elif hasattr(os, "set_inheritable"):
        os.set_inheritable(number, True)
    return cast(TextIO, Path(os.devnull).open(mode, encoding="utf-8"))


def _shown(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _readable(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written of characters that the terminal's encoding does not have: something that can be read."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    if as_bytes := BYTES.match(found):  # they came in, and the same go out
        return as_bytes[0].encode("ascii", "surrogateescape"), error.start + as_bytes.end()
    found = BYTES.split(found)[0]
    return "".join(_in_ascii(character) for character in found), error.start + len(found)


def _in_ascii(character: str) -> str:
    if character in READABLE:
        return READABLE[character]
    if character in LEVEL:
        return "-"
    if character in UPRIGHT:
        return "|"
    if "\u2500" <= character <= "\u257f":
        return "+"
    if "\u2800" <= character <= "\u28ff":  # the spinner's dots
        return "*"
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return bare or "?"
