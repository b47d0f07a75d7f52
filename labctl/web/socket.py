"""One page's websocket: JSON both ways, and what terminals show as bytes to the page.

To the page: messages of the hub; {"type": "reply", "id", "ok", ...}; and for terminals binary frames: a byte with the
length of the node's name, the name, eight bytes with where the bytes stand in all that the terminal showed, a byte that
is 1 where the page shall begin anew, and the bytes.

From the page: {"do": verb, "id": number, ...}. `keys`, `size`, `open`, `close`, `seen` and `again` are about terminals.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from labctl.errors import LabctlError
from labctl.web.console import AHEAD, Console
from labctl.web.desk import Desk
from labctl.web.hub import Message

__all__ = ["Socket"]

PIECE = 64 << 10  # bytes of a terminal in one frame
MOST_WAITING = 2000  # messages; a page that takes none is let go, and comes back for a fresh start
MOST_AT_ONCE = 32  # things that one page has asked for and that are not done
TRY_AGAIN = 1013


@dataclass
class _Shown:
    """A terminal that the page shows: up to where bytes were sent, and up to where they are on the screen."""

    console: Console
    sent: int
    seen: int
    anew: bool


class Socket:
    """Carries one page's messages until it leaves."""

    def __init__(self, websocket: WebSocket, desk: Desk) -> None:
        self._websocket = websocket
        self._desk = desk
        self._messages: deque[Message] = deque()
        self._shown: dict[str, _Shown] = {}
        self._lock = threading.Lock()
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._is_lost = False
        self._doing: set[asyncio.Task[None]] = set()

    # -- heard from any thread

    def put(self, message: Message) -> None:
        """Hear a message of the hub."""
        with self._lock:
            self._is_lost |= len(self._messages) >= MOST_WAITING
            if not self._is_lost:
                self._messages.append(message)
        self.wake()

    def wake(self) -> None:
        """There is something to send."""
        with suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._news.set)

    # -- the page's life

    async def live(self) -> None:
        """Talk until the page leaves."""
        await self._websocket.accept()
        self._desk.hub.join(self)
        sending = asyncio.create_task(self._send_all())
        try:
            while True:
                await self._take(await self._websocket.receive_text())
        except (WebSocketDisconnect, KeyError, RuntimeError):
            pass  # it has gone, or we have let it go
        finally:
            sending.cancel()
            self._desk.hub.leave(self)
            for shown in self._shown.values():
                shown.console.detach(self)

    async def _send_all(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await self._news.wait()
                self._news.clear()
                while await self._send_some():
                    pass
                if self._is_lost and self._websocket.application_state is WebSocketState.CONNECTED:
                    await self._websocket.close(TRY_AGAIN)
                    return

    async def _send_some(self) -> bool:
        """Send what waits: messages, and a piece of each terminal. Whether there may be more."""
        with self._lock:
            messages = list(self._messages)
            self._messages.clear()
        for message in messages:
            await self._websocket.send_text(json.dumps(message, ensure_ascii=False, default=str))
        more = bool(messages)
        for name, shown in list(self._shown.items()):
            more |= await self._send_piece(name, shown)
        return more

    async def _send_piece(self, name: str, shown: _Shown) -> bool:
        room = AHEAD - (shown.sent - shown.seen)
        if room <= 0:
            return False
        at, data = shown.console.scroll.since(shown.sent, min(PIECE, room))
        if at != shown.sent:
            shown.anew, shown.seen = True, at
        if not data and not shown.anew:
            return False
        encoded = name.encode()
        head = bytes([len(encoded)]) + encoded + at.to_bytes(8, "big") + bytes([shown.anew])
        shown.sent, shown.anew = at + len(data), False
        await self._websocket.send_bytes(head + data)
        return bool(data)

    # -- what the page says

    async def _take(self, text: str) -> None:
        try:
            said = json.loads(text)
            verb = str(said["do"])
        except (ValueError, KeyError, TypeError):
            return
        if verb in TERMINAL and isinstance(said.get("node"), str):
            if verb == "open":
                await self._open(said)
            elif (shown := self._shown.get(said["node"])) is not None:
                self._at_terminal(verb, said, shown)
            return
        if len(self._doing) < MOST_AT_ONCE:
            task = asyncio.create_task(self._do(verb, said))
            self._doing.add(task)
            task.add_done_callback(self._doing.discard)
        else:
            self.put({"type": "reply", "id": said.get("id"), "ok": False, "error": "too much is being done at once"})

    async def _open(self, said: Mapping[str, Any]) -> None:
        """Show a terminal, from where the page left it if it is still the same one."""
        name, size = said["node"], (_number(said, "rows"), _number(said, "columns"))
        try:
            console = await self._loop.run_in_executor(self._desk.pool, self._desk.console, name, size)
        except LabctlError as problem:
            self.put({"type": "terminal", "node": name, "state": "down", "why": problem.message})
            return
        at = _number(said, "at") if said.get("session") == console.session else 0
        is_known = said.get("session") == console.session and at <= console.scroll.end
        end = console.scroll.end
        self._shown[name] = _Shown(console, at if is_known else 0, at if is_known else 0, not is_known)
        console.attach(self, at if is_known else end)
        told = ""
        while told != console.state:  # what the hub told meanwhile came before this
            told = console.state
            state = {"state": told, "why": console.why, "session": console.session, "live": end}
            self.put({"type": "terminal", "node": name, **state})

    def _at_terminal(self, verb: str, said: Mapping[str, Any], shown: _Shown) -> None:
        if verb == "keys":
            data = str(said.get("data", "")).encode()
            shown.console.send(data)
        elif verb == "size":
            shown.console.resize(_number(said, "rows"), _number(said, "columns"))
        elif verb == "seen":
            shown.seen = min(max(shown.seen, _number(said, "at")), shown.sent)
            shown.console.saw(self, shown.seen)
            self._news.set()
        elif verb == "again":
            shown.console.nudge()
        else:
            del self._shown[said["node"]]
            shown.console.detach(self)

    async def _do(self, verb: str, said: Mapping[str, Any]) -> None:
        reply: dict[str, Any] = {"type": "reply", "id": said.get("id")}
        try:
            value = await self._loop.run_in_executor(self._desk.pool, self._desk.do, verb, said)
            reply |= {"ok": True, "value": value}
        except LabctlError as problem:
            reply |= {"ok": False, "error": problem.message, "hint": problem.hint or ""}
        except (TypeError, ValueError):
            reply |= {"ok": False, "error": f"the page asked for {verb!r} with something that is none", "hint": ""}
        self.put(reply)


TERMINAL = ("keys", "size", "open", "close", "seen", "again")


def _number(said: Mapping[str, Any], key: str) -> int:
    value = said.get(key, 0)
    return int(value) if isinstance(value, int | float) and 0 <= value < 1 << 53 else 0
