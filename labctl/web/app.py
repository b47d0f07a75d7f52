"""The page's server: its files, its websocket, and nothing else. No app of a lab is ever carried through it."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from labctl.errors import UsageError
from labctl.web.desk import Desk
from labctl.web.safety import Guard
from labctl.web.socket import Socket

__all__ = ["PAGE", "guarded", "refuse_without_page"]

PAGE = Path(__file__).parent / "page"


def refuse_without_page(page: Path | None = None) -> None:
    """Raise UsageError where the page was not built, as in a fresh checkout."""
    if not ((page or PAGE) / "index.html").is_file():
        raise UsageError("the page is not built in this checkout", hint="`make web` builds it.")


def guarded(desk: Desk, port: int, key: str, page: Path = PAGE) -> Guard:
    """The app behind its guard."""

    async def talk(websocket: WebSocket) -> None:
        await Socket(websocket, desk).live()

    routes = [WebSocketRoute("/ws", talk), Mount("/", StaticFiles(directory=page, html=True))]
    return Guard(Starlette(routes=routes), port, key)
