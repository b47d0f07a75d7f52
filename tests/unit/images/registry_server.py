"""A registry for tests: the part of the distribution API that labctl speaks, in memory, on a port of 127.0.0.1."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Registry:
    """What the registry holds. `full` makes it answer as one whose disk is full."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.linked: set[tuple[str, str]] = set()
        self.manifests: dict[str, dict[str, bytes]] = {}
        self.uploads: dict[str, bytes] = {}
        self.full = False
        self.secret = ""  # without it everybody may write
        self.port = 0

    def accept(self, repository: str, tag: str, body: bytes) -> str:
        """Take a manifest whose blobs the repository has; returns what is missing."""
        content = json.loads(body)
        for blob in [content["config"], *content["layers"]]:
            if (repository, blob["digest"]) not in self.linked:
                return f"blob unknown to {repository}: {blob['digest']}"
            if len(self.blobs[blob["digest"]]) != blob["size"]:
                return f"wrong size of {blob['digest']}"
        self.manifests.setdefault(repository, {})[tag] = body
        return ""


@contextmanager
def running() -> Iterator[Registry]:
    """Serve a registry while the block runs."""
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            parts = url.path.removeprefix("/v2/").split("/")
            if url.path == "/v2/":
                self.say(200, b"{}")
            elif url.path == "/v2/_catalog":
                self.pages("repositories", sorted(registry.manifests), url.query)
            elif parts[-2:] == ["tags", "list"]:
                tags = registry.manifests.get("/".join(parts[:-2]))
                self.say(404) if tags is None else self.say(200, json.dumps({"tags": list(tags)}).encode())
            elif parts[-2] == "manifests":
                found = registry.manifests.get("/".join(parts[:-2]), {}).get(parts[-1])
                self.say(404) if found is None else self.say(200, found, {"Docker-Content-Digest": digest(found)})
            else:
                found = registry.blobs.get(parts[-1])
                self.say(404) if found is None else self.say(200, found)

        def refuses(self) -> bool:
            shown = self.headers.get("Authorization", "").removeprefix("Basic ")
            return bool(registry.secret) and base64.b64decode(shown).decode() != f"labctl:{registry.secret}"

        def do_POST(self) -> None:
            if self.refuses():
                self.say(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"only the nodes may write"}]}')
                return
            url = urlsplit(self.path)
            repository = url.path.removeprefix("/v2/").removesuffix("/blobs/uploads/")
            query = parse_qs(url.query)
            if registry.full:
                self.say(500, b'{"errors":[{"message":"unknown","detail":"mkdir: no space left on device"}]}')
            elif "mount" in query and (query["from"][0], query["mount"][0]) in registry.linked:
                registry.linked.add((repository, query["mount"][0]))
                self.say(201)
            else:
                place = f"/v2/{repository}/blobs/uploads/{len(registry.uploads)}"
                registry.uploads[place] = b""
                self.say(202, headers={"Location": f"http://elsewhere:5000{place}?_state=abc"})

        def do_PATCH(self) -> None:
            place = urlsplit(self.path).path
            registry.uploads[place] += self.body()
            self.say(202, headers={"Location": f"{place}?_state=def"})

        def do_PUT(self) -> None:
            url = urlsplit(self.path)
            body = self.body()
            parts = url.path.removeprefix("/v2/").split("/")
            if parts[-2] == "manifests":
                problem = registry.accept("/".join(parts[:-2]), parts[-1], body)
                if problem:
                    self.say(400, json.dumps({"errors": [{"message": problem}]}).encode())
                else:
                    self.say(201, headers={"Docker-Content-Digest": digest(body)})
                return
            content = registry.uploads.pop(url.path) + body
            if digest(content) != parse_qs(url.query)["digest"][0]:
                self.say(400, b'{"errors":[{"message":"provided digest did not match"}]}')
                return
            registry.blobs[digest(content)] = content
            registry.linked.add(("/".join(parts[:-3]), digest(content)))
            self.say(201)

        def pages(self, key: str, names: list[str], query: str) -> None:
            after = parse_qs(query).get("last", [""])[0]
            left = [name for name in names if name > after]
            headers = {}
            if len(left) > 2:
                headers["Link"] = f'</v2/_catalog?last={left[1]}&n=2>; rel="next"'
            self.say(200, json.dumps({key: left[:2]}).encode(), headers)

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def say(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    registry.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()


def digest(content: bytes) -> str:
    """The digest that content is addressed by."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
