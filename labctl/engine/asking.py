"""How an engine is asked over the wire: JSON in both directions, streams, and the errors as ours."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from labctl.engine.errors import translated
from labctl.engine.wire import JSON, Answer, WireTo
from labctl.errors import EngineRefused

__all__ = ["Asking", "Json", "as_filters"]

Json = dict[str, Any]


class Asking:
    """What is asked over the wire; a part of `Engine`. Raises EngineRefused and EngineUnreachable."""

    where: str

    @property
    def wire(self) -> WireTo:
        """What most calls are asked by."""
        raise NotImplementedError

    def post(self, path: str, body: Mapping[str, Any] | None = None, **params: Any) -> Json:
        """POST to an API path (for example "/swarm/init") and return the JSON answered, {} for none."""
        given = {key: value for key, value in (body or {}).items() if value is not None}
        decoded = self._json("POST", path, params=params, body=json.dumps(given).encode(), headers=JSON)
        return cast(Json, {} if decoded is None else decoded if isinstance(decoded, dict) else {"": decoded})

    def get_json(self, path: str, **params: Any) -> Json:
        """GET an API path and return the JSON answered."""
        return cast(Json, self._json("GET", path, params=params))

    def delete(self, path: str, **params: Any) -> None:
        """DELETE an API path."""
        self._ask("DELETE", path, params=params)

    def _ask(self, method: str, path: str, **how: Any) -> Answer:
        with translated(self.where):
            return self.wire.ask(method, path, **how)

    def _json(self, method: str, path: str, **how: Any) -> Any:
        """The answer's JSON, None for an empty one; what is no JSON counts as no answer."""
        with translated(self.where):
            return self.wire.ask(method, path, **how).json()

    def _streamed(self, path: str, params: Mapping[str, Any], *, limit: float | None = None) -> Iterator[bytes]:
        with translated(self.where):
            stream = self.wire.stream("GET", path, params=params, limit=limit)
            with contextlib.closing(stream) as pieces:
                yield from pieces

    def _found(self, path: str) -> Json | None:
        try:
            return self.get_json(path)
        except EngineRefused as refused:
            if refused.status == 404:
                return None
            raise

    def _remove(self, path: str) -> None:
        try:
            self.delete(path)
        except EngineRefused as refused:
            if refused.status != 404:
                raise


def as_filters(wanted: Mapping[str, Any]) -> str:
    """Filters as the API takes them: JSON, each a list of texts."""

    def words(value: Any) -> list[str]:
        many = value if isinstance(value, list | tuple) else [value]
        return [str(one).lower() if isinstance(one, bool) else str(one) for one in many]

    return json.dumps({key: words(value) for key, value in wanted.items()})
