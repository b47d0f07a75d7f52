"""A lab's own authority: what it signs is trusted by real TLS, and nothing else is."""

from __future__ import annotations

import datetime
import re
import ssl
import stat
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    SSHCertificate,
    SSHCertificateType,
    load_ssh_private_key,
    load_ssh_public_identity,
    load_ssh_public_key,
)

from labctl.errors import LabError
from labctl.pki import (
    Authority,
    KeyPair,
    known_registry_secret,
    make_ssh_key,
    registry_secret,
    ssh_host_certificate,
    ssh_keys,
)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("demo")


class Peer:
    """One end of a TLS connection in memory."""

    def __init__(self, context: ssl.SSLContext, *, server_hostname: str | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_side=server_hostname is None, server_hostname=server_hostname
        )

    def goes_on(self) -> bool:
        """Do what can be done; whether the handshake is over."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True


def connect(
    folder: Path, *, server: tuple[Authority, KeyPair], client: tuple[Authority, KeyPair] | None, name: str
) -> None:
    """Shake hands, each side as strict as the newest Python is. Raises ssl.SSLError."""
    listening = context_of(folder / "server", ssl.PROTOCOL_TLS_SERVER, *server)
    listening.verify_mode = ssl.CERT_REQUIRED
    calling = context_of(folder / "client", ssl.PROTOCOL_TLS_CLIENT, *(client or (server[0], None)))
    near, far = Peer(calling, server_hostname=name), Peer(listening)
    for _ in range(10):
        if near.goes_on() & far.goes_on():
            break
        far.incoming.write(near.outgoing.read())
        near.incoming.write(far.outgoing.read())
    far.tls.write(b"hello")
    near.incoming.write(far.outgoing.read())
    assert near.tls.read() == b"hello"


def context_of(folder: Path, protocol: int, authority: Authority, pair: KeyPair | None) -> ssl.SSLContext:
    folder.mkdir()
    context = ssl.SSLContext(protocol)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=authority.certificate.decode())
    if pair is not None:
        (folder / "pair.pem").write_bytes(pair.certificate + pair.key)
        context.load_cert_chain(folder / "pair.pem")
    return context


@pytest.mark.parametrize("name", ["worker1", "10.0.0.12", "localhost", "127.0.0.1"])
def test_a_server_is_trusted_under_each_of_its_names(authority: Authority, tmp_path: Path, name: str) -> None:
    server = authority.server("worker1 of demo", ["worker1", "10.0.0.12", "localhost", "127.0.0.1"])

    connect(
        tmp_path,
        server=(authority, server),
        client=(authority, authority.client("me")),
        name=name,
    )


def test_a_server_is_not_trusted_under_another_name(authority: Authority, tmp_path: Path) -> None:
    server = authority.server("worker1 of demo", ["worker1"])

    with pytest.raises(ssl.SSLCertVerificationError, match="worker2"):
        connect(tmp_path, server=(authority, server), client=(authority, authority.client("me")), name="worker2")


def test_a_client_without_a_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLError, match=r"certificate|CERTIFICATE"):
        connect(tmp_path, server=(authority, authority.server("w", ["w"])), client=None, name="w")


def test_a_client_of_another_lab_is_refused(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority.create("demo").client("me")

    with pytest.raises(ssl.SSLCertVerificationError):
        connect(tmp_path, server=(authority, authority.server("w", ["w"])), client=(authority, stranger), name="w")


def test_a_servers_certificate_is_no_clients(authority: Authority, tmp_path: Path) -> None:
    server = authority.server("w", ["w"])

    with pytest.raises(ssl.SSLCertVerificationError):
        connect(tmp_path, server=(authority, server), client=(authority, server), name="w")


def test_certificates_are_dated_back_for_clocks_that_differ(authority: Authority) -> None:
    certificate = x509.load_pem_x509_certificate(authority.client("me").certificate)
    now = datetime.datetime.now(datetime.UTC)

    assert certificate.not_valid_before_utc < now - datetime.timedelta(hours=23)
    assert certificate.not_valid_after_utc - now < datetime.timedelta(days=826)


def test_names_that_are_longer_than_a_certificate_takes_are_cut() -> None:
    long = Authority.create("x" * 100).client("y" * 100)

    assert x509.load_pem_x509_certificate(long.certificate).subject.rfc4514_string() == "CN=" + "y" * 64


def test_the_files_are_those_that_dockers_own_tools_look_for(tmp_path: Path) -> None:
    Authority.load_or_create(tmp_path, "demo")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca-key.pem", "ca.pem", "cert.pem", "key.pem"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_an_authority_is_made_once(tmp_path: Path) -> None:
    first = Authority.load_or_create(tmp_path, "demo")
    client = (tmp_path / "cert.pem").read_bytes()

    assert Authority.load_or_create(tmp_path, "demo").certificate == first.certificate
    assert (tmp_path / "cert.pem").read_bytes() == client


def test_an_authority_that_was_read_signs_what_the_first_one_trusts(tmp_path: Path) -> None:
    first = Authority.load_or_create(tmp_path, "demo")
    again = Authority.load(tmp_path)

    connect(tmp_path, server=(first, again.server("w", ["w"])), client=(again, first.client("me")), name="w")


def test_a_client_certificate_that_is_lost_is_made_again(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path, "demo")
    (tmp_path / "key.pem").unlink()

    Authority.load_or_create(tmp_path, "demo")

    client = KeyPair((tmp_path / "cert.pem").read_bytes(), (tmp_path / "key.pem").read_bytes())
    connect(tmp_path, server=(authority, authority.server("w", ["w"])), client=(authority, client), name="w")


def test_a_lost_authority_takes_its_client_with_it(tmp_path: Path) -> None:
    Authority.load_or_create(tmp_path, "demo")
    (tmp_path / "ca.pem").unlink()

    fresh = Authority.load_or_create(tmp_path, "demo")

    client = KeyPair((tmp_path / "cert.pem").read_bytes(), (tmp_path / "key.pem").read_bytes())
    connect(tmp_path, server=(fresh, fresh.server("w", ["w"])), client=(fresh, client), name="w")


@pytest.mark.parametrize("broken", ["ca.pem", "ca-key.pem"])
def test_an_authority_that_cannot_be_read_is_told_with_the_way_out(tmp_path: Path, broken: str) -> None:
    Authority.load_or_create(tmp_path, "demo")
    (tmp_path / broken).write_bytes(b"\x00 no PEM")

    with pytest.raises(LabError, match="cannot be read") as caught:
        Authority.load_or_create(tmp_path, "demo")

    assert "labctl down" in (caught.value.hint or "")


def test_an_authority_with_a_key_of_another_kind_is_not_ours(tmp_path: Path) -> None:
    Authority.load_or_create(tmp_path, "demo")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    other = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "ca-key.pem").write_bytes(other)

    with pytest.raises(LabError, match="was not made by labctl"):
        Authority.load(tmp_path)


def test_an_ssh_key_is_one_line_for_the_node_and_openssh_for_its_user() -> None:
    pair = make_ssh_key("labctl demo")

    assert pair.certificate.startswith(b"ssh-ed25519 ")
    assert pair.certificate.endswith(b" labctl demo\n")
    private = load_ssh_private_key(pair.key, password=None)
    assert private.public_key() == load_ssh_public_key(pair.certificate)


def test_ssh_keys_are_made_once_a_lab_and_are_their_users_alone(state: Path) -> None:
    first = ssh_keys("demo")

    assert ssh_keys("demo") == first
    assert ssh_keys("other") != first
    assert len({first.client.key, first.host.key, first.node.key, first.ca.key}) == 4
    assert stat.S_IMODE((state / "labs" / "demo" / "id_ed25519").stat().st_mode) == 0o600


def test_half_of_an_ssh_key_is_made_anew(state: Path) -> None:
    first = ssh_keys("demo")
    (state / "labs" / "demo" / "id_ed25519").unlink()

    again = ssh_keys("demo")

    assert again.client != first.client
    assert again.host == first.host


def test_what_the_labs_ca_signed_is_a_host_of_any_name_and_of_this_lab_alone(state: Path) -> None:
    keys = ssh_keys("demo")

    signed = load_ssh_public_identity(ssh_host_certificate(keys, keys.host.certificate))

    assert isinstance(signed, SSHCertificate)
    assert (signed.type, signed.valid_principals) == (SSHCertificateType.HOST, [])
    assert signed.public_key() == load_ssh_public_key(keys.host.certificate)
    assert signed.signature_key() == load_ssh_public_key(keys.ca.certificate)
    assert signed.signature_key() != load_ssh_public_key(ssh_keys("other").ca.certificate)
    signed.verify_cert_signature()
    assert signed.valid_after < time.time() < signed.valid_before


def test_the_registrys_secret_is_made_once_a_lab_and_is_its_users_alone(state: Path) -> None:
    assert known_registry_secret("demo") == ""

    made = registry_secret("demo")

    assert registry_secret("demo") == known_registry_secret("demo") == made
    assert re.fullmatch("[0-9a-f]{64}", made)
    assert registry_secret("other") != made
    assert stat.S_IMODE((state / "labs" / "demo" / "registry-secret").stat().st_mode) == 0o600


def test_to_look_at_anothers_lab_leaves_nothing_behind(state: Path) -> None:
    assert known_registry_secret("elsewhere") == ""
    assert not (state / "labs" / "elsewhere").exists()
