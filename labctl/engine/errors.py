"""From docker's and requests' errors to ours, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from labctl.errors import EngineRefused, EngineUnreachable

__all__ = ["translated"]

ENGINE_HINT = "`labctl doctor` looks into it, `labctl doctor --fix` mends what it can."


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what docker and requests raise in the block into EngineRefused or EngineUnreachable.

    `where` names the engine: "the engine", "the engine of worker1". An answer cut off in the middle of its
    JSON counts as none.
    """
    import docker.errors
    import requests.exceptions
    import urllib3.exceptions

    try:
        yield
    except docker.errors.ImageLoadError as problem:
        raise EngineRefused(f"{where} could not load the image: {problem}") from problem
    except docker.errors.APIError as problem:
        said = str(problem.explanation or problem)
        raise EngineRefused(f"{where} refused: {said.strip()}", status=problem.status_code or 0) from problem
    except (
        docker.errors.DockerException,
        docker.errors.StreamParseError,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
    ) as problem:
        raise EngineUnreachable(f"{where} does not answer: {_short(problem)}", hint=ENGINE_HINT) from problem


def _short(problem: BaseException) -> str:
    """The innermost reason; requests wraps it four times over."""
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
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return str(text)
