"""From the wire's, docker's and requests' errors to ours, in one place."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labctl.engine.wire import Refused
from labctl.errors import EngineRefused, EngineUnreachable, LabctlError

if TYPE_CHECKING:
    import ssl

__all__ = [
    "INGRESS_HINT",
    "PRIVILEGED_HINT",
    "keys_hint",
    "lacks_majority",
    "translated",
    "wants_devices",
    "wants_ingress",
]

ENGINE_HINT = "`labctl doctor` looks into it, `labctl doctor --fix` mends what it can."
OF_NODE = "the engine of "
PRIVILEGED_HINT = (
    "A node gives its containers no device of this host; a lab made with `labctl up --name devices --privileged-tasks` "
    "does "
    "(lab.yaml: `privileged_tasks: true`)."
)
# A node without tasks enters an ingress network that was made again only when it gets one (seen on 26.1.5): up's probe.
INGRESS_HINT = (
    "`labctl docker -- network create --driver overlay --ingress ingress` makes it again, "
    "and then `labctl up` lets all nodes enter it"
)
# What a leader says when too few managers answer to agree on a change: it waits for them, and then steps down.
WITHOUT_MAJORITY = ("lost leader status", "does not have a leader", "loss of quorum", "not enough healthy")
RPC = re.compile(r"rpc error: code = \w+ desc = ")  # how managers' words come over the wire
# runc's words on cgroup v1.
DEVICE_RULE = re.compile(r'failed to write "[abc] \S+ [rwm]+"')
OTHER_CA = "its certificate is not of this lab's CA"
OTHER_KEY = "it does not take this lab's key"
# OpenSSL's reasons, as far as they tell of a lab; https://docs.openssl.org/master/man1/openssl-verification-options/
NOT_OF_CA = (7, 18, 19, 20, 21)
SILENT = "it takes connections and says nothing"
TLS_REASONS = {
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection",
    "TLSV1_ALERT_UNKNOWN_CA": OTHER_KEY,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": OTHER_KEY,
    "SSLV3_ALERT_BAD_CERTIFICATE": OTHER_KEY,
    "TLSV1_ALERT_DECRYPT_ERROR": OTHER_KEY,
    "WRONG_VERSION_NUMBER": "it speaks no TLS",
    "HTTP_REQUEST": "it speaks no TLS",
}


def keys_hint(lab: str = "") -> str:
    """What to do about a lab whose keys are not here."""
    which = f" -l {lab}" if lab else ""
    return (
        "Whoever made the lab has its keys; LABCTL_STATE names another folder. "
        f"`labctl down{which}` and `labctl up{which}` recreate the lab."
    )


def wants_devices(said: str) -> bool:
    """Whether a runtime says that a container asked for more devices than its node has, as privileged ones do."""
    return DEVICE_RULE.search(said) is not None


def wants_ingress(said: str) -> bool:
    """Whether the swarm says that a service publishes a port, and the network is gone that would lead there."""
    return "no ingress network is present" in said


def lacks_majority(said: str) -> bool:
    """Whether a manager says that too few of them answer to agree on a change."""
    return any(words in said for words in WITHOUT_MAJORITY)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what the wire, docker and requests raise in the block into EngineRefused or EngineUnreachable.

    `where` names the engine: "the engine", "the engine of worker1". An answer cut off in the middle of its
    JSON counts as none.
    """
    try:
        yield
    except _known() as problem:
        raise _told(where, problem) from problem


def _known() -> tuple[type[Exception], ...]:
    """What is raised on the way to an engine; the errors of requests are OSErrors."""
    own: tuple[type[Exception], ...] = (Refused, OSError)
    # These are imported by the SDK alone, so without it nothing of theirs was raised.
    if "docker.errors" in sys.modules:
        import docker.errors
        import urllib3.exceptions

        own += (docker.errors.DockerException, docker.errors.StreamParseError, urllib3.exceptions.HTTPError)
    pipes = sys.modules.get("pywintypes")  # Windows'
    return own if pipes is None else (*own, pipes.error)


def _told(where: str, problem: Exception) -> LabctlError:
    """What the problem is to users."""
    if isinstance(problem, Refused):
        return _refused(where, str(problem), problem.status)
    if "docker.errors" in sys.modules:
        import docker.errors

        if isinstance(problem, docker.errors.ImageLoadError):
            return EngineRefused(f"{where} could not load the image: {problem}")
        if isinstance(problem, docker.errors.APIError):
            return _refused(where, str(problem.explanation or problem), problem.status_code or 0)
    reason = _short(problem)
    return EngineUnreachable(f"{where} does not answer: {reason}", hint=_hint(where, reason), silent=reason == SILENT)


def _refused(where: str, said: str, status: int) -> EngineRefused:
    said = RPC.sub("", said)
    return EngineRefused(f"{where} refused: {said.strip()}", status=status, hint=_hint_of_refusal(where, said))


def _hint_of_refusal(where: str, said: str) -> str | None:
    if wants_devices(said) and where.startswith(OF_NODE):
        return PRIVILEGED_HINT
    if lacks_majority(said):
        return "Too few managers answer to agree on a change: `labctl status` tells which, and what brings them back."
    return f"{INGRESS_HINT}." if wants_ingress(said) else None


def _hint(where: str, reason: str) -> str:
    """The doctor looks at this host only, and no restart makes keys be those of another lab."""
    if reason in (OTHER_CA, OTHER_KEY):
        return keys_hint()
    if not where.startswith(OF_NODE):
        return ENGINE_HINT
    again = f"`labctl restart {where.removeprefix(OF_NODE)}` restarts the node"
    return f"{again}; `labctl export logs` keeps what its engine said."


def _short(problem: BaseException) -> str:
    """The innermost reason; requests wraps it four times over."""
    import ssl

    seen: set[int] = set()
    inner: BaseException = problem
    while id(inner) not in seen:
        seen.add(id(inner))
        following = inner.__cause__ or inner.__context__
        if following is None and inner.args and isinstance(inner.args[-1], BaseException):
            following = inner.args[-1]
        if following is None:
            break
        inner = following
    if isinstance(inner, ssl.SSLError):
        return _tls_words(inner)
    if isinstance(inner, TimeoutError) and "operation timed out" in str(inner):  # of TLS: a handshake, or an answer
        return SILENT
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return str(text)


def _tls_words(problem: ssl.SSLError) -> str:
    """What TLS has against the engine, in words instead of OpenSSL's names and lines."""
    import ssl

    if isinstance(problem, ssl.SSLCertVerificationError):
        if problem.verify_code in NOT_OF_CA:
            return OTHER_CA
        return f"its certificate is not good: {problem.verify_message}"
    if isinstance(problem, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "it closed the connection"
    reason = problem.reason or ""
    return TLS_REASONS.get(reason) or f"TLS failed: {reason.replace('_', ' ').lower() or 'no reason was told'}"
