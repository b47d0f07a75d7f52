"""Archives of others: read as tar reads them, and refused where they want more than an honest one does."""

from __future__ import annotations

import contextlib
import io
import resource
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.tarstream import TarReader, end, header, padding, rewritten

NAMES = ["a", "d/b", "ü/" + "x" * 200, "n" * 150, "/".join(["deep"] * 90), "line\nbreak", "\udcff"]


def packed(form: int, names: Iterable[str] = NAMES) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(b"c" * len(name)))
    return buffer.getvalue()


def chunks(data: bytes, size: int = 700) -> Iterator[bytes]:
    for begin in range(0, len(data), size):
        yield data[begin : begin + size]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_name_and_content_is_as_tar_wrote_it(form: int) -> None:
    reader = TarReader(chunks(packed(form)))

    assert [(entry.name, b"".join(reader.content())) for entry in reader] == [(n, b"c" * len(n)) for n in NAMES]


def test_what_is_not_read_is_skipped() -> None:
    assert [entry.name for entry in TarReader(chunks(packed(tarfile.PAX_FORMAT)))] == NAMES


def test_what_is_written_here_tar_reads() -> None:
    whole = b"".join(rewritten(chunks(packed(tarfile.PAX_FORMAT))))

    with tarfile.open(fileobj=io.BytesIO(whole), encoding="utf-8", errors="surrogateescape") as archive:
        assert archive.getnames() == NAMES


def test_a_copy_carries_no_special_bit_and_no_owner() -> None:
    entry = tarfile.TarInfo("su")
    entry.mode, entry.uid, entry.uname = 0o6755, 77, "eve"

    with tarfile.open(fileobj=io.BytesIO(b"".join(rewritten([entry.tobuf() + end()])))) as archive:
        found = archive.getmember("su")
    assert (found.mode, found.uid, found.uname) == (0o755, 0, "")


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"V",
    ],
)
def test_links_and_devices_are_not_copied(kind: bytes) -> None:
    entry = tarfile.TarInfo("x")
    entry.type, entry.linkname = kind, "/etc/passwd"

    with pytest.raises(tarfile.TarError):
        b"".join(rewritten([entry.tobuf() + end()]))


def extension(kind: bytes, size: int) -> bytes:
    entry = tarfile.TarInfo("ext")
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_header_of_hundreds_of_mebibytes_is_not_read(kind: bytes) -> None:
    def endless() -> Iterator[bytes]:
        yield extension(kind, 800 << 20)
        pytest.fail("it was read on")

    with pytest.raises(tarfile.ReadError, match="header takes 838860800 bytes"):
        list(TarReader(endless()))


def pax(*records: bytes) -> bytes:
    """A pax header with records whose lengths are filled in."""
    body = b"".join(b"%d %s\n" % (len(record) + 2 + len(str(len(record) + 5)), record) for record in records)
    return extension(tarfile.XHDTYPE, len(body)) + body + padding(len(body))


def test_many_headers_ahead_of_one_entry_take_no_more_than_one_may() -> None:
    def many() -> Iterator[bytes]:
        for number in range(100):
            yield pax(b"k%03d=" % number + b"v" * 99_990)
            assert number < 11, "it was read on"

    with pytest.raises(tarfile.ReadError, match="header takes"):
        list(TarReader(many()))


def test_headers_without_content_come_to_an_end_too() -> None:
    with pytest.raises(tarfile.ReadError, match="header takes"):
        list(TarReader(extension(tarfile.XGLTYPE, 0) for _ in range(3000)))


def test_of_a_header_only_what_an_entry_needs_is_kept() -> None:
    archive = pax(b"comment=" + b"x" * 1000, b"path=long") + header("short") + end()

    assert [entry.name for entry in TarReader([archive])] == ["long"]


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        (b"", "too early"),
        (header("a", size=10) + b"half", "too early"),
        (header("a"), "too early"),
        (b"hello" * 200, "invalid header|bad checksum"),
        (extension(tarfile.XHDTYPE, 10) + b"999 a=b\n  " + padding(10), "bad header"),
        (extension(tarfile.XHDTYPE, 10) + b"no record!" + padding(10), "bad header"),
        (extension(tarfile.XHDTYPE, 12) + b"12 size=abc\n" + padding(12) + header("a"), "invalid literal"),
        (extension(tarfile.XHDTYPE, 11) + b"11 size=-9\n" + padding(11) + header("a"), "no file has"),
        (extension(tarfile.XHDTYPE, 22) + b"22 GNU.sparse.major=1\n" + padding(22) + header("a"), "holes"),
        (header("a") * 11 + end(), "more than 10"),
    ],
)
def test_what_is_no_archive_is_told(archive: bytes, said: str) -> None:
    with pytest.raises(tarfile.TarError, match=said):
        list(TarReader([archive], most_entries=10))


def test_what_comes_behind_the_end_is_not_read_for_ever() -> None:
    def endless() -> Iterator[bytes]:
        yield end()
        while True:
            yield bytes(1 << 16)

    with pytest.raises(tarfile.ReadError, match="behind its end"):
        list(rewritten(endless()))


@given(st.binary(max_size=3000))
def test_whatever_comes_is_an_archive_or_a_tar_error(data: bytes) -> None:
    with contextlib.suppress(tarfile.TarError):
        list(rewritten([header("a", size=3) + b"abc" + padding(3) + data]))


def test_a_large_archive_takes_no_memory() -> None:
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))\n"
        "from labctl.tarstream import header, rewritten, end\n"
        "def big():\n"
        "    yield header('a', size=1 << 30)\n"
        "    for _ in range(1 << 10): yield bytes(1 << 20)\n"
        "    yield end()\n"
        "print(sum(map(len, rewritten(big()))))\n"
    )
    assert resource.RLIMIT_AS
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)

    assert int(done.stdout or 0) > 1 << 30, done.stderr
