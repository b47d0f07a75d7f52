"""The Docker SDK's client, for what the wire does not do: to build, pull, push, import and load images."""

from __future__ import annotations

from functools import cache
from typing import Any

__all__ = ["client_class"]


@cache
def client_class() -> Any:
    """The docker.APIClient that is used here. Made late: importing docker takes longer than most commands do."""
    import docker

    class Client(docker.APIClient):
        """Takes nothing from the environment.

        An engine is on this machine, so a proxy is not for it; and REQUESTS_CA_BUNDLE, which requests
        prefers to a session's own CA, knows nothing of a lab's. Which API the engine speaks stands in the answer
        to a ping, which is cheaper for an engine that boots than the whole of its version.
        """

        def _retrieve_server_version(self) -> str:
            client: Any = self  # types-docker leaves the request helpers out
            answer = client._get(f"{self.base_url}/_ping")
            client._raise_for_status(answer)
            return str(answer.headers.get("Api-Version") or client.version(api_version=False)["ApiVersion"])

        @property
        def trust_env(self) -> bool:
            return False

        @trust_env.setter
        def trust_env(self, value: bool) -> None:
            pass

    return Client
