"""Whether Docker Hub can be reached from here. Asking may take seconds, so the answer is kept for a while."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from labctl.errors import HostError
from labctl.state import state_dir, write_private

__all__ = ["HUB", "HubAnswer", "ask", "asked_as_set", "hub_reachable", "look_up_hub"]

SWITCH = "LABCTL_HUB"  # auto, always, never, or a registry in the Hub's place
HUB = "https://registry-1.docker.io"
# Seconds that an answer holds. A "no" is doubted sooner: names fail to resolve for a minute now and then.
YES_HOLDS, NO_HOLDS = 600.0, 60.0


@dataclass(frozen=True)
class HubAnswer:
    """What asking came to: `said` in words, `at` in seconds of the Unix clock."""

    reachable: bool
    said: str
    at: float = 0.0

    def holds(self, now: float) -> bool:
        """Whether the answer is young enough to be taken again."""
        return 0 <= now - self.at <= (YES_HOLDS if self.reachable else NO_HOLDS)


def asked_as_set(limit: float) -> HubAnswer:
    """Answer as LABCTL_HUB says: "never" and "always" ask nobody, a URL asks that registry, else the Hub."""
    setting = os.environ.get(SWITCH, "").strip()
    if setting.lower() in ("never", "always"):
        return HubAnswer(setting.lower() == "always", f"{SWITCH}={setting}")
    if setting.startswith(("http://", "https://")):
        return look_up_hub(limit, url=setting.rstrip("/"))
    return look_up_hub(limit)


def hub_reachable(limit: float = 2.0) -> bool:
    """Return whether Docker Hub answers within `limit` seconds, HTTPS_PROXY honoured.

    An answer is kept in the state folder: ten minutes for a yes, one for a no.
    """
    return look_up_hub(limit).reachable


def look_up_hub(limit: float = 2.0, *, fresh: bool = False, url: str = HUB) -> HubAnswer:
    """Return the kept answer or ask anew; `fresh` asks in any case, `url` is the registry asked."""
    if not fresh and (kept := _kept(url)) is not None:
        return kept
    answer = ask(url, limit)
    _keep(url, answer)
    return answer


def ask(url: str, limit: float) -> HubAnswer:
    """Ask a registry for its API's root. Any answer counts: without a login it is a refusal."""
    said = _within(limit, lambda: _get(f"{url}/v2/", limit))
    if said is None:
        said = f"no answer within {limit:g} s"
    return HubAnswer(reachable=said == "", said=said or "it answers", at=time.time())


def _get(url: str, limit: float) -> str:
    """Return "" when a registry answered, else why not."""
    import http.client
    import urllib.error
    import urllib.request

    try:
        # The scheme is the caller's own constant; a proxy of the environment is taken by urllib itself.
        with urllib.request.urlopen(url, timeout=limit):  # noqa: S310  see above
            return ""
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return "" if refusal.code < 500 else f"it answers {refusal.code}"
    except urllib.error.URLError as problem:
        return str(getattr(problem.reason, "strerror", None) or problem.reason)
    except (OSError, http.client.HTTPException) as problem:
        return str(problem)


def _within(limit: float, do: Callable[[], str]) -> str | None:
    """Run `do` for at most `limit` seconds. A name look-up knows no limit, so the thread is left behind."""
    said: list[str] = []
    worker = threading.Thread(target=lambda: said.append(do()), daemon=True)
    worker.start()
    worker.join(limit)
    return said[0] if said else None


def _file() -> Path:
    return state_dir() / "hub.json"


def _kept(url: str) -> HubAnswer | None:
    try:
        stored = json.loads(_file().read_text())
        if stored.pop("url") != url:
            return None
        answer = HubAnswer(bool(stored["reachable"]), str(stored["said"]), float(stored["at"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, HostError):
        return None
    return answer if answer.holds(time.time()) else None


def _keep(url: str, answer: HubAnswer) -> None:
    try:
        write_private(_file(), json.dumps({"url": url, **asdict(answer)}).encode())
    except (OSError, HostError):
        return  # only time is lost
