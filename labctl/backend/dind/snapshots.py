"""Snapshots of a lab of containers: the nodes' disks and the containers' own layers, saved and put back.

Saving: the nodes stand still, so that all is of one moment, as after a power cut of all at once. Their volumes are
copied, their own layers become images, and last a volume notes what there is: without it there is no snapshot.

Restoring: new containers are made beside those that stand, with disks copied from the snapshot and looked through,
while the lab goes on. What fails by then changes nothing. Then a volume marks the lab as being put back, the new
containers take the places of the old ones, and start; the mark goes when all have. A lab that bears it is not started:
to restore again makes all anew, whatever is there.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from labctl.backend.base import Snapshot
from labctl.backend.dind.config import network_name
from labctl.backend.dind.copying import COPIER, Copier, Listing, refuse_no_room
from labctl.backend.dind.marked import NEW, OLD, is_aside, nodes_among, owner_mark, spec_of
from labctl.backend.dind.saved import Disk, Part, Saved, as_snapshot, body_of, disk_of, read_saved
from labctl.concurrent import each, gather, together
from labctl.engine import Engine
from labctl.engine.client import Json
from labctl.errors import EngineRefused, LabctlError, LabError, NotFoundError
from labctl.owner import is_mine, marks
from labctl.spec import labels
from labctl.words import some

if TYPE_CHECKING:
    from labctl.spec import LabSpec

__all__ = ["Keeper"]

KIND, SAVED, RESTORING = "snapshot", "saved", "restoring"  # kinds: the note; what it names; the mark
COPIES_AT_ONCE = 4  # more only queue at the disk
Note = Callable[[str], None]


class Keeper:
    """Keeps the snapshots of one lab, which the caller holds for all that changes something."""

    def __init__(self, engine: Engine, lab: str) -> None:
        self._engine = engine
        self._lab = lab

    def listed(self) -> list[Snapshot]:
        """The lab's whole snapshots, oldest first."""
        return sorted(map(as_snapshot, self._notes()), key=lambda one: (one.taken, one.name))

    def prepare_save(self, name: str) -> None:
        """Look whether the disk has room for what the nodes hold, when what a killed command left is gone."""
        self.sweep()
        nodes = self._nodes()
        disks = [*(_disk_of(node) for node in nodes), *self._registry()]
        found = self._copier_like(nodes[0]).measure(disks)
        layers = sum(map(self._layer, nodes))
        refuse_no_room(found, found.size + layers, found.entries, f"snapshot {name}")

    def save(self, name: str, note: Note) -> None:
        """Save the nodes, which stand still; what is half-made is removed again."""
        nodes = self._nodes()
        copier = self._copier_like(nodes[0])
        sources = [*((str(node["Config"]["Labels"][labels.NODE]), _disk_of(node)) for node in nodes)]
        sources += [("the registry", volume) for volume in self._registry()]
        saved = _Told(note, [source for source, _ in sources])

        def copy(source: tuple[str, str]) -> Disk:
            volume = f"labctl-{self._lab}-saved-{secrets.token_hex(4)}"
            self._engine.create_volume(volume, self._marks(SAVED, name))
            disk = Disk(volume, copier.copy(source[1], volume))
            saved.done(source[0], disk.listing)
            return disk

        try:
            disks = each(sources, copy, at_once=COPIES_AT_ONCE, stop=copier.stop)
            parts = each(list(zip(nodes, disks, strict=False)), lambda one: self._part(name, *one))
            registry = disks[len(nodes)] if len(disks) > len(nodes) else None
            whole = Saved(name, time.time(), self._spec(), tuple(parts), registry)
            given = {**self._marks(KIND, name), labels.SAVED: whole.note()}
            self._engine.create_volume(f"labctl-{self._lab}-snapshot-{secrets.token_hex(4)}", given)
        except BaseException:
            with contextlib.suppress(LabctlError):  # the error that led here is the one to tell
                self.sweep()
            raise

    def prepare_restore(self, name: str, note: Note) -> None:
        """Make the containers that shall take the places of those that stand, each with its disk.

        Raises LabError for a snapshot that is not whole any more, HostError when there is no room for its disks.
        """
        self.sweep()
        saved = self._whole(name)
        copier = self._copier_of(saved)
        found = copier.measure(saved.volumes)
        refuse_no_room(found, saved.size, saved.entries, f"what snapshot {name} brings back")
        made = _Told(note, [part.node for part in saved.parts])

        def make(part: Part | None) -> None:
            if part is None:
                if saved.registry is not None:
                    there = copier.listing(saved.registry.volume)
                    _refuse_changed(name, "the registry", saved.registry, there)
                return
            self._engine.create(part.machine + NEW, {**part.body, "Image": part.image})
            volume = _disk_of(self._inspected(part.machine + NEW))
            _refuse_changed(name, part.node, part.disk, copier.copy(part.disk.volume, volume))
            made.done(part.node, part.disk.listing)

        try:
            each([None, *saved.parts], make, at_once=COPIES_AT_ONCE, stop=copier.stop)
        except BaseException:
            with contextlib.suppress(LabctlError):
                self.sweep()
            raise

    def restore(self, name: str, remember: Callable[[LabSpec], None]) -> None:
        """Let the containers that were prepared take the places of those that stand, and start them.

        `remember` is given the lab's spec of then. Ctrl-C waits for the end. What fails leaves the lab stopped, and
        marked.
        """
        saved = self._whole(name)
        before = self._restoring()
        self._engine.create_volume(f"labctl-{self._lab}-restoring-{secrets.token_hex(4)}", self._marks(RESTORING, name))
        each(before, self._engine.remove_volume)
        try:
            _to_its_end(lambda: self._switch(saved, remember))
        except LabctlError as problem:
            self._stop_all()
            raise LabError(
                f"lab {self._lab} could not be put back to snapshot {name}: {problem.message}",
                hint=f"The lab is stopped, and in part what it was: `labctl snapshot restore {name}` does it again.",
            ) from problem

    def delete(self, name: str) -> None:
        """Forget a snapshot, and remove what it held; one that is gone is fine."""
        for volume in self._notes():
            if volume["Labels"].get(labels.SNAPSHOT) == name:
                self._engine.remove_volume(volume["Name"])
        self.sweep()

    def sweep(self) -> None:
        """Remove what commands left that were killed: copies, containers, volumes and images of no snapshot."""
        containers = self._mine(self._engine.containers(labels.of_lab(self._lab)))
        wrecks = [one for one in containers if one["Labels"].get(labels.KIND) == COPIER or is_aside(one)]
        each(wrecks, lambda one: self._engine.remove(one["Id"]))
        known = [saved for volume in self._notes() if (saved := _read(volume)) is not None]
        names = {str(volume["Labels"].get(labels.SNAPSHOT)) for volume in self._notes()}
        unread = names - {saved.name for saved in known}
        volumes = {volume for saved in known for volume in saved.volumes}
        for found in self._mine(self._engine.volumes(labels.of_lab(self._lab, SAVED))):
            if found["Name"] not in volumes and found["Labels"].get(labels.SNAPSHOT) not in unread:
                self._engine.remove_volume(found["Name"])
        images = {part.image for saved in known for part in saved.parts}
        self.remove_images(keep=images, of=unread)

    def remove_images(self, *, keep: Collection[str] = (), of: Collection[str] = (), others: bool = False) -> list[str]:
        """Remove the images that snapshots of the lab left, but for those of these names and `of` these snapshots.

        One that a container of the lab was made of stays until that is gone. Returns the names of what was removed.
        """
        removed = []
        for image in self._engine.images(labels.of_lab(self._lab, SAVED)):
            marked = image["Labels"]
            if (not is_mine(marked, self._lab) and not others) or marked.get(labels.SNAPSHOT) in of:
                continue
            names = [name for name in image.get("RepoTags") or () if name != "<none>:<none>"]
            for name in [one for one in names if one not in keep] or ([] if names else [str(image["Id"])]):
                try:
                    self._engine.remove_image(name)
                    removed.append(name)
                except EngineRefused as refused:
                    if refused.status != 409:
                        raise
        return removed

    def _switch(self, saved: Saved, remember: Callable[[LabSpec], None]) -> None:
        from labctl.spec import spec_noted

        for part in saved.parts:  # before the first of those that stand goes
            self._inspected(part.machine + NEW)
        together(lambda: each(saved.parts, self._take_place), lambda: self._put_back_registry(saved))
        if saved.spec and (spec := spec_noted(json.loads(saved.spec), source="the snapshot")):
            remember(spec)
        each(saved.parts, lambda part: self._engine.start(part.machine))
        each(self._restoring(), self._engine.remove_volume)
        self.sweep()

    def _take_place(self, part: Part) -> None:
        """Let a new container be the node. The one that stood is removed later: that takes longer than all else."""
        stands = self._engine.container(part.machine)
        if stands is not None:
            if stands["State"]["Status"] in ("running", "paused"):
                with contextlib.suppress(EngineRefused):  # it has ended by itself; one that has not cannot be replaced
                    self._engine.kill(part.machine)
                self._inspected(part.machine)  # answered when it is down, its address and its port free
            self._engine.rename(part.machine, part.machine + OLD)
        self._engine.rename(part.machine + NEW, part.machine)

    def _put_back_registry(self, saved: Saved) -> None:
        """Let the registry hold what it did. It is started with the nodes."""
        for volume in self._registry() if saved.registry else []:
            assert saved.registry is not None
            for found in self._engine.containers(labels.of_lab(self._lab, "registry"), everything=False):
                self._engine.stop(found["Id"], grace=2)
            there = self._copier_of(saved).copy(saved.registry.volume, volume)
            _refuse_changed(saved.name, "the registry", saved.registry, there)

    def _stop_all(self) -> None:
        """Let no node run of a lab that is in part what it was, and in part what it shall be."""
        with contextlib.suppress(LabctlError):
            running = [one for one in self._node_containers() if one["State"] in ("running", "paused")]
            each(running, lambda one: self._engine.kill(one["Id"]))

    def _restoring(self) -> list[str]:
        """The marks of a lab that is being put back."""
        return [one["Name"] for one in self._mine(self._engine.volumes(labels.of_lab(self._lab, RESTORING)))]

    def _whole(self, name: str) -> Saved:
        """The snapshot of that name. Raises LabError for one of which something is gone, or whose lab has changed."""
        found = {str(one["Labels"].get(labels.SNAPSHOT)): one for one in self._notes()}
        if name not in found:
            raise NotFoundError("snapshot", name, found)
        saved = read_saved(found[name])
        there = {str(one["Name"]) for one in self._engine.volumes(labels.of_lab(self._lab, SAVED))}
        missing = [
            part.node for part in saved.parts if part.disk.volume not in there or self._engine.image(part.image) is None
        ]
        if saved.registry is not None and saved.registry.volume not in there:
            missing.append("the registry")
        if missing:
            raise LabError(
                f"snapshot {name} has nothing of {some(missing)} any more",
                hint=f"It cannot be restored; `labctl snapshot rm {name}` removes the rest of it.",
            )
        for part in saved.parts:
            self._refuse_anothers(part.machine)
        return saved

    def _refuse_anothers(self, machine: str) -> None:
        found = self._engine.container(machine)
        if found is not None and not is_mine(found["Config"]["Labels"], self._lab):
            raise LabError(
                f"a container named {machine} is there and is not this lab's",
                hint=f"Remove it first: `docker rm -f {machine}`.",
            )

    def _part(self, name: str, node: Json, disk: Disk) -> Part:
        """Save what a container has of its own, and return the node as the snapshot has it."""
        marked = node["Config"]["Labels"]
        machine = str(node["Name"]).lstrip("/")
        image = f"labctl.snapshot/{self._lab}/{marked[labels.NODE]}:{name}"
        layer = self._layer(node)
        self._engine.commit(node["Id"], image, self._marks(SAVED, name))
        return Part(marked[labels.NODE], machine, body_of(node, network_name(self._lab)), image, layer, disk)

    def _layer(self, node: Json) -> int:
        """How many bytes a container has of its own."""
        return int(self._engine.get_json(f"/containers/{node['Id']}/json", size=1).get("SizeRw") or 0)

    def _nodes(self) -> list[Json]:
        return [self._inspected(found["Id"]) for found in self._node_containers()]

    def _node_containers(self) -> list[Json]:
        wanted = labels.of_lab(self._lab)
        containers = self._engine.containers(wanted)
        found = nodes_among(containers, self._lab, owner_mark(self._engine.networks(wanted), containers))
        return sorted(found, key=lambda one: (one["Labels"].get(labels.ROLE) != "manager", one["Labels"][labels.NODE]))

    def _inspected(self, container: str) -> Json:
        found = self._engine.container(container)
        if found is None:
            raise LabError(f"the container {container} is gone")
        return found

    def _registry(self) -> list[str]:
        """The volume with what was pushed to the lab's registry; none for a lab without one."""
        wanted = labels.of_lab(self._lab, "volume")
        return [one["Name"] for one in self._engine.volumes(wanted) if one["Name"] == f"{self._lab}-registry"]

    def _spec(self) -> str:
        from labctl.spec import note_of

        spec = spec_of(self._engine.volumes(labels.of_lab(self._lab, "spec")))
        return note_of(spec) if spec is not None else ""

    def _notes(self) -> list[Json]:
        return self._mine(self._engine.volumes(labels.of_lab(self._lab, KIND)))

    def _mine(self, found: list[Json]) -> list[Json]:
        return [one for one in found if is_mine(one["Labels"], self._lab)]

    def _marks(self, kind: str, name: str) -> dict[str, str]:
        return {**marks(self._lab, kind), labels.SNAPSHOT: name}

    def _copier_like(self, node: Json) -> Copier:
        return Copier(self._engine, self._lab, node["Config"]["Image"], node["HostConfig"])

    def _copier_of(self, saved: Saved) -> Copier:
        return Copier(self._engine, self._lab, saved.parts[0].image, saved.parts[0].body["HostConfig"])


class _Told:
    """Tells whose copies are made, and whose are not yet."""

    def __init__(self, note: Note, names: list[str]) -> None:
        self._note = note
        self._left = names
        self._size = 0
        note(f"copying {some(names)}")

    def done(self, name: str, listing: Listing) -> None:
        self._left = [one for one in self._left if one != name]
        self._size += listing.size
        left = f", copying {some(self._left)}" if self._left else ""
        self._note(f"{self._size / 2**20:,.0f} MiB copied{left}")


def _to_its_end(do: Callable[[], object]) -> None:
    """Call `do` and wait for its end on Ctrl-C too. Where it failed, that is the one to tell."""
    with ThreadPoolExecutor(1, "labctl-restore") as pool:
        done = pool.submit(do)
        try:
            gather([done])
        except KeyboardInterrupt:
            if (problem := done.exception()) is not None:  # which waits for it
                raise problem from None
            raise


def _disk_of(inspected: Mapping[str, Any]) -> str:
    volume = disk_of(inspected)
    if volume is None:
        raise LabError(f"{str(inspected['Name']).lstrip('/')} has no volume for its engine's data")
    return volume


def _read(volume: Json) -> Saved | None:
    try:
        return read_saved(volume)
    except LabError:
        return None


def _refuse_changed(name: str, what: str, disk: Disk, there: Listing) -> None:
    """Raise LabError where a copy is not what was saved: the snapshot was changed, or cut short."""
    if there.digest != disk.listing.digest:
        raise LabError(
            f"{what} in snapshot {name} is not what was saved: {there.entries} files and folders of "
            f"{disk.listing.entries}, {there.size} bytes of {disk.listing.size}",
            hint=f"It cannot be restored; `labctl snapshot rm {name}` removes it. The lab is as it was.",
        )
