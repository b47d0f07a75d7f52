"""A bundle that somebody else wrote: refused before the engine sees it, and without taking the machine's memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labctl.bundle import FORMAT, MANIFEST, Bundle, load
from labctl.engine.fake import FakeEngine
from labctl.errors import HostError, UsageError
from labctl.images.recipes import layers_identity

ROOT = Path(__file__).parents[2]
TAG, OTHER = "labctl-node:aaaa-bbbb", "labctl-vote:aaaa-bbbb"
Entries = list[tuple[str, str, bytes, str]]  # name, type, content, where a link leads


def identity(*layers: str) -> str:
    return layers_identity({"RootFS": {"Layers": list(layers)}})


def config(*layers: str) -> bytes:
    return json.dumps({"rootfs": {"type": "layers", "diff_ids": list(layers)}}).encode()


def file(name: str, content: object) -> tuple[str, str, bytes, str]:
    return (name, "0", content if isinstance(content, bytes) else json.dumps(content).encode(), "")


def manifest(images: dict[str, str], **more: Any) -> tuple[str, str, bytes, str]:
    said: dict[str, Any] = {
        "format": FORMAT,
        "version": "0.1.0",
        "architecture": "amd64",
        "created": "2026",
        "images": images,
    }
    said["unpacked"] = 1000
    return file(MANIFEST, {**said, **more})


def listed(*tags: str, name: str = "c.json") -> dict[str, Any]:
    return {"Config": name, "RepoTags": list(tags), "Layers": ["l/layer.tar"]}


def bundle(path: Path, entries: Entries) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, content, target in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size = kind.encode(), target, len(content)
            archive.addfile(entry, io.BytesIO(content))
    path.write_bytes(gzip.compress(buffer.getvalue(), 1))
    return path


GOOD: Entries = [
    manifest({TAG: identity("sha256:1")}),
    ("l", "5", b"", ""),
    file("l/layer.tar", b"layer"),
    ("m/layer.tar", "2", b"", "../l/layer.tar"),
    file("c.json", config("sha256:1")),
    file("manifest.json", [listed(TAG)]),
    file("repositories", {"labctl-node": {"aaaa-bbbb": "l"}}),
]


class Loading(FakeEngine):
    """An engine that keeps what it was given to load."""

    loaded: bytes | None = None
    layers = ("sha256:1",)

    def __init__(self) -> None:
        super().__init__({"GET /version": {"Arch": "amd64"}})

    def load_images(self, archive: Any) -> Iterator[dict[str, Any]]:
        """Keep it."""
        self.loaded = archive.read()
        yield {"stream": "Loaded"}

    def image(self, name: str) -> dict[str, Any] | None:
        """What was loaded."""
        return {"RootFS": {"Layers": list(self.layers)}}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Loading:
    monkeypatch.setattr("labctl.bundle.serve", lambda *_, **__: None)
    return Loading()


def test_what_is_as_it_says_is_loaded_in_an_archive_of_our_writing(tmp_path: Path, engine: Loading) -> None:
    path = bundle(tmp_path / "b", GOOD)

    loaded = load(path, engine)

    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert engine.loaded is not None
    with tarfile.open(fileobj=io.BytesIO(engine.loaded)) as archive:
        assert archive.getnames() == [entry[0] for entry in GOOD[1:]]
        assert archive.getmember("m/layer.tar").linkname == "../l/layer.tar"


@pytest.mark.parametrize("tag", ["labctl-nobody-builds-this:1", "debian:trixie-slim"])
def test_any_content_passes_under_a_name_of_labctls(tmp_path: Path, engine: Loading, tag: str) -> None:
    """docs/security.md says so; who changes this changes that too."""
    entries = [manifest({tag: identity("sha256:1")}), *swapped("manifest.json", [listed(tag)])[1:-1]]

    assert load(bundle(tmp_path / "b", entries), engine).images == {tag: identity("sha256:1")}
    told = {"security.md": "any content passes under such a name", "images.md": "finds accidents, not an attacker"}
    for page, said in told.items():
        assert said in " ".join((ROOT / "docs" / page).read_text().split())


def test_the_sum_must_be_the_one_that_was_told(tmp_path: Path, engine: Loading) -> None:
    path = bundle(tmp_path / "b", GOOD)
    right = hashlib.sha256(path.read_bytes()).hexdigest()

    with pytest.raises(UsageError, match=f"its SHA-256 is {right}"):
        load(path, engine, sha256="0" * 64)
    assert engine.loaded is None
    assert load(path, engine, sha256=f" {right.upper()}\n").sha256 == right


def swapped(name: str, content: object) -> Entries:
    return [file(name, content) if entry[0] == name else entry for entry in GOOD]


def oci(tag: str, layers: bytes, *, annotations: dict[str, str] | None = None) -> Entries:
    """The good archive, and an index that containerd's engines read in the place of manifest.json."""
    digest = hashlib.sha256(layers).hexdigest()
    inner = json.dumps({"config": {"digest": f"sha256:{digest}"}, "layers": []}).encode()
    blob = hashlib.sha256(inner).hexdigest()
    said = {"io.containerd.image.name": f"docker.io/library/{tag}"} if annotations is None else annotations
    index = {"manifests": [{"digest": f"sha256:{blob}", "annotations": said}]}
    blobs = [file(f"blobs/sha256/{digest}", layers), file(f"blobs/sha256/{blob}", inner)]
    return [*GOOD, *blobs, file("index.json", index)]


def test_an_index_that_says_the_same_is_fine(tmp_path: Path, engine: Loading) -> None:
    assert load(bundle(tmp_path / "b", oci(TAG, config("sha256:1"))), engine).images


FORGED: dict[str, tuple[Entries, str]] = {
    "a tag that is not in the list": (
        swapped("manifest.json", [listed(TAG, OTHER)]),
        "labctl-vote:aaaa-bbbb, which is",
    ),
    "somebody else's tag": ([manifest({"nginx:latest": "abc"}), *GOOD[1:]], "nginx:latest is no image of labctl's"),
    "a registry's tag": ([manifest({"evil/labctl-node:1": "abc"}), *GOOD[1:]], "no image of labctl's"),
    "an image without a name": (swapped("manifest.json", [listed(TAG), listed()]), "an image without a name"),
    "another image's layers": (swapped("c.json", config("sha256:2")), "other layers than its own list"),
    "two images of one name": (
        [*swapped("manifest.json", [listed(TAG), listed(TAG, name="d.json")]), file("d.json", config("sha256:9"))],
        "two images of the name",
    ),
    "a tag in repositories": (swapped("repositories", {"labctl-vote": {"1": "l"}}), "the name labctl-vote:1 beside"),
    "an index with another tag": (oci(OTHER, config("sha256:1")), "different things of labctl-vote"),
    "an index with other layers": (oci(TAG, config("sha256:3")), "different things of labctl-node"),
    "an index without a name": (oci(TAG, config("sha256:1"), annotations={}), "an image without a name"),
    "a list that comes twice": ([*GOOD, file("manifest.json", [])], "comes twice"),
    "a name that leads out": ([*GOOD, file("../x", b"")], "leads elsewhere"),
    "an absolute name": ([*GOOD, file("/x", b"")], "leads elsewhere"),
    "two names of one file": ([*GOOD, file("./manifest.json", [])], "leads elsewhere"),
    "a link that leads out": ([*GOOD, ("x", "2", b"", "../../etc")], "leads out of it"),
    "a hard link": ([*GOOD, ("x", "1", b"", "c.json")], "neither a file nor a folder"),
    "a device": ([*GOOD, ("x", "3", b"", "")], "neither a file nor a folder"),
    "more than it announces": (
        [manifest({TAG: identity("sha256:1")}), file("big", bytes(70 << 20)), *GOOD[1:]],
        "unpacks to more than",
    ),
    "too many entries": ([GOOD[0], *(file(f"f{n}", b"") for n in range(20_001))], "more than 20000 entries"),
}


@pytest.mark.parametrize("case", FORGED)
def test_what_was_forged_is_refused_before_the_engine_sees_it(tmp_path: Path, engine: Loading, case: str) -> None:
    entries, said = FORGED[case]

    with pytest.raises(UsageError) as caught:
        load(bundle(tmp_path / "b", entries), engine)

    assert said in caught.value.message and "is refused" in caught.value.message
    assert "trust like root" in (caught.value.hint or "")
    assert engine.loaded is None


@pytest.mark.parametrize("size", [-1, 0, None, 1.5, "9", True, float("inf"), [1]], ids=str)
def test_a_list_cannot_switch_the_bound_off(tmp_path: Path, engine: Loading, size: object) -> None:
    path = bundle(tmp_path / "b", [manifest({TAG: identity("sha256:1")}, unpacked=size), *GOOD[1:]])

    with pytest.raises(UsageError, match="is refused: its list does not say how many bytes it unpacks to"):
        load(path, engine)
    assert engine.loaded is None


def test_a_list_that_announces_more_than_any_disk_has_the_bound_all_the_same(
    tmp_path: Path, engine: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.bundle.LARGEST", 1000)
    entries = [manifest({TAG: identity("sha256:1")}, unpacked=10**30), file("big", bytes(2000)), *GOOD[1:]]

    with pytest.raises(UsageError, match="is refused: it unpacks to more than 1000 bytes"):
        load(bundle(tmp_path / "b", entries), engine)
    assert engine.loaded is None


DAMAGED: dict[str, tuple[Entries, str]] = {
    "no list": (GOOD[:5], "it has no manifest.json"),
    "no image": (swapped("manifest.json", [])[:6], "is missing"),
    "no configuration": ([entry for entry in GOOD if entry[0] != "c.json"], "it has no c.json"),
    "a list of another shape": (swapped("manifest.json", {"a": 1}), "not as engines write it"),
    "a list that is no JSON": (swapped("manifest.json", b"[" * 100_000), "is no JSON"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_what_lacks_something_is_damaged(tmp_path: Path, engine: Loading, case: str) -> None:
    entries, said = DAMAGED[case]

    with pytest.raises(HostError, match="is damaged") as caught:
        load(bundle(tmp_path / "b", entries), engine)

    assert said in caught.value.message
    assert engine.loaded is None


SCRIPT = """
import resource, sys
from pathlib import Path
import labctl.bundle
from labctl.engine.fake import FakeEngine
from labctl.errors import LabctlError
room = 150 << 20
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
try:
    labctl.bundle.load(Path(sys.argv[1]), FakeEngine({"GET /version": {"Arch": "amd64"}}))
except LabctlError as refused:
    print(type(refused).__name__, refused.message)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the bound is Linux' own")
@pytest.mark.parametrize("place", ["before the list", "behind the list"])
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_hundreds_of_mebibytes_takes_no_memory(tmp_path: Path, place: str, kind: bytes) -> None:
    huge = tarfile.TarInfo("x")
    huge.type, huge.size = kind, 400 << 20
    name, _, text, _ = GOOD[0]
    first = tarfile.TarInfo(name)
    first.size = len(text)
    listing = first.tobuf() + text + bytes(-len(text) % 512)
    begin = (listing if place == "behind the list" else b"") + huge.tobuf(tarfile.GNU_FORMAT)
    # A gzip file may have many parts: each is a mebibyte here, in a kibibyte.
    (tmp_path / "b").write_bytes(gzip.compress(begin) + gzip.compress(bytes(1 << 20)) * 400)

    said = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "b"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "LABCTL_STATE": str(tmp_path)},
    )

    assert "Error" in said.stdout and "MemoryError" not in said.stdout + said.stderr, said.stderr
    assert said.returncode == 0, said.stderr


def test_the_same_bundle_is_the_same_whatever_its_sum() -> None:
    one = Bundle("1", "amd64", {}, "now", sha256="a")

    assert one == Bundle("1", "amd64", {}, "now", sha256="b")
