"""From an engine's archive into a registry, in both formats that engines write."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tarfile
from collections.abc import Iterator

import pytest

from labctl.errors import HostError, LabError
from labctl.images import upload
from labctl.images.distribution import RegistryApi
from labctl.images.names import parse
from labctl.images.upload import push_saved

from .registry_server import Registry, digest, running

BASE, OWN = b"base layer" * 100, b"own layer"
CONFIG = b'{"architecture":"amd64"}'


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry that runs."""
    with running() as served:
        yield served


@pytest.fixture
def api(registry: Registry) -> Iterator[RegistryApi]:
    """A connection to it."""
    with contextlib.closing(RegistryApi("127.0.0.1", registry.port)) as opened:
        yield opened


def archive(files: dict[str, bytes], links: dict[str, str] | None = None) -> Iterator[bytes]:
    """A tar archive in small chunks."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for path, target in (links or {}).items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    whole = buffer.getvalue()
    return (whole[place : place + 700] for place in range(0, len(whole), 700))


def listed(tag: str, *layers: str, config: str = "c.json") -> dict[str, object]:
    """An image as the archive's manifest.json lists it."""
    return {"Config": config, "RepoTags": [tag], "Layers": list(layers)}


def old_format() -> Iterator[bytes]:
    """What engines before 25 write; a layer that was written before is a link."""
    images = [listed("web:1", "1/layer.tar", "2/layer.tar"), listed("other:1", "3/layer.tar")]
    files = {"1/layer.tar": BASE, "1/VERSION": b"1.0", "2/layer.tar": OWN, "c.json": CONFIG}
    return archive({**files, "manifest.json": json.dumps(images).encode()}, {"3/layer.tar": "../1/layer.tar"})


def oci_layout() -> Iterator[bytes]:
    """What engines since 25 write; layers may be compressed."""
    packed = gzip.compress(BASE, mtime=0)
    place = {content: f"blobs/sha256/{digest(content)[7:]}" for content in (packed, OWN, CONFIG)}
    images = [listed("web:1", place[packed], place[OWN], config=place[CONFIG])]
    files = {path: content for content, path in place.items()}
    return archive({"oci-layout": b"{}", **files, "manifest.json": json.dumps(images).encode(), "index.json": b"{}"})


@pytest.mark.parametrize("small", [0, 1 << 20], ids=["large layers", "small layers"])
def test_an_image_gets_all_its_names(
    registry: Registry, api: RegistryApi, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    if not small:
        monkeypatch.setattr(upload, "SMALL", 256)
    names = [parse("nginx"), parse("nginx:1.27"), parse("group/web:2")]

    digests = push_saved(api, old_format(), {"web:1": names, "other:1": [parse("labctl/other")]})

    assert sorted(registry.manifests) == ["group/web", "labctl/other", "library/nginx"]
    assert sorted(registry.manifests["library/nginx"]) == ["1.27", "latest"]
    found = api.manifest("group/web", "2")
    assert found is not None
    assert found.digest == digests["web:1"] == digest(registry.manifests["library/nginx"]["latest"])
    assert found.image_id == digest(CONFIG)
    assert found.size == len(BASE) + len(OWN) + len(CONFIG)
    layers = json.loads(registry.manifests["labctl/other"]["latest"])["layers"]
    assert [layer["digest"] for layer in layers] == [digest(BASE)]
    assert layers[0]["mediaType"] == "application/vnd.docker.image.rootfs.diff.tar"


def test_compressed_layers_stay_compressed(registry: Registry, api: RegistryApi) -> None:
    push_saved(api, oci_layout(), {"web:1": [parse("nginx")]})

    layers = json.loads(registry.manifests["library/nginx"]["latest"])["layers"]
    assert [layer["mediaType"].rpartition(".")[2] for layer in layers] == ["gzip", "tar"]
    assert gzip.decompress(registry.blobs[layers[0]["digest"]]) == BASE


def test_an_image_that_is_not_in_the_archive_is_named(api: RegistryApi) -> None:
    with pytest.raises(HostError, match="the engine saved no image lost:1"):
        push_saved(api, old_format(), {"web:1": [parse("nginx")], "lost:1": [parse("lost")]})


def test_an_archive_that_ends_early_is_an_error(api: RegistryApi) -> None:
    whole = b"".join(old_format())

    with pytest.raises(HostError):
        push_saved(api, iter([whole[:1800]]), {"web:1": [parse("nginx")]})


def test_nothing_wanted_is_nothing_done(api: RegistryApi) -> None:
    assert push_saved(api, iter(()), {}) == {}


def test_a_full_disk_is_told_as_one(registry: Registry, api: RegistryApi) -> None:
    registry.full = True

    with pytest.raises(HostError, match="the engine's disk is full") as caught:
        push_saved(api, old_format(), {"web:1": [parse("nginx")]})

    assert "image prune" in (caught.value.hint or "")


def test_all_pages_of_a_catalog_are_read(registry: Registry, api: RegistryApi) -> None:
    registry.manifests = {name: {"1": b"{}"} for name in "abcde"}

    assert api.repositories() == ["a", "b", "c", "d", "e"]


def test_a_list_for_several_platforms_stands_for_its_first_image(registry: Registry, api: RegistryApi) -> None:
    push_saved(api, old_format(), {"web:1": [parse("nginx")]})
    one = api.manifest("library/nginx", "latest")
    assert one is not None
    several = json.dumps({"manifests": [{"digest": one.digest}, {"digest": "sha256:other"}]}).encode()
    registry.manifests["library/nginx"] |= {
        one.digest: registry.manifests["library/nginx"]["latest"],
        "several": several,
    }

    found = api.manifest("library/nginx", "several")

    assert found is not None
    assert (found.digest, found.image_id, found.size) == (digest(several), one.image_id, one.size)


def test_what_is_not_there_is_none(api: RegistryApi) -> None:
    assert api.tags("nothing") == []
    assert api.manifest("nothing", "1") is None


def test_who_has_the_secret_writes_and_who_has_not_is_told_whose_it_is() -> None:
    with running() as served:
        served.secret = "5ecret"
        with contextlib.closing(RegistryApi("127.0.0.1", served.port, secret="5ecret")) as ours:
            assert ours.begin_upload("web")
        for secret in ("", "guessed"):
            with (
                contextlib.closing(RegistryApi("127.0.0.1", served.port, secret=secret)) as another,
                pytest.raises(LabError, match="refused web: 401 only the nodes may write") as caught,
            ):
                another.begin_upload("web")
            assert "LABCTL_STATE" in (caught.value.hint or "")
            assert "guessed" not in caught.value.message
            assert another.problem() == ""


def test_a_registry_that_is_gone_is_an_error_that_names_it() -> None:
    with running() as served:
        port = served.port
    api = RegistryApi("127.0.0.1", port, limit=1, name="the lab's registry")

    assert api.problem().startswith(f"the lab's registry at 127.0.0.1:{port} does not answer: ")
    with pytest.raises(LabError):
        api.repositories()
