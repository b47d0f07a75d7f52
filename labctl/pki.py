"""The lab's own certificate authority and keys. Nothing here is ever shared between two labs.

Keys are on the curve P-256: made in well under a millisecond, and taken by every TLS stack that an
engine of the last ten years brings. Certificates are dated back by a day, for clocks that differ.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.state import lab_dir, lab_path, write_private

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = [
    "Authority",
    "KeyPair",
    "SshKeys",
    "known_registry_secret",
    "make_ssh_key",
    "registry_secret",
    "ssh_host_certificate",
    "ssh_keys",
]

CA_DAYS = 3650
REGISTRY_SECRET = "registry-secret"
LEAF_DAYS = 825  # the longest that TLS stacks accept without complaint


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A CA that signs for one lab."""

    def __init__(self, certificate: x509.Certificate, key: EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, name: str) -> Authority:
        """Make a new CA whose common name tells the lab."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        key = _new_key()
        subject = _name(f"labctl CA of {name}")
        certificate = (
            _builder(subject, subject, key, CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load_or_create(cls, folder: Path, name: str) -> Authority:
        """Read the CA that stands in `folder`, or make one and leave it and a client certificate there.

        The files have the names that Docker's own tools look for: ca.pem, cert.pem, key.pem; the CA's
        private key is ca-key.pem. Raises LabError when what stands there cannot be read.
        """
        if (folder / "ca.pem").exists() and (folder / "ca-key.pem").exists():
            authority = cls.load(folder)
        else:
            authority = cls.create(name)
            write_private(folder / "ca-key.pem", _private_pem(authority._key))
            write_private(folder / "ca.pem", authority.certificate)
            (folder / "cert.pem").unlink(missing_ok=True)  # another CA's proves nothing to this one
        if not (folder / "cert.pem").exists() or not (folder / "key.pem").exists():
            client = authority.client(f"client of {name}")
            write_private(folder / "key.pem", client.key)
            write_private(folder / "cert.pem", client.certificate)
        return authority

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """Read the CA that stands in `folder`. Raises LabError when it cannot be read."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
            key = load_pem_private_key((folder / "ca-key.pem").read_bytes(), password=None)
        except (OSError, ValueError) as problem:
            raise LabError(
                f"the lab's keys in {folder} cannot be read: {problem}",
                hint="`labctl down` and `labctl up` recreate the lab.",
            ) from problem
        if not isinstance(key, EllipticCurvePrivateKey):
            raise LabError(f"{folder / 'ca-key.pem'} was not made by labctl")
        return cls(certificate, key)

    @property
    def certificate(self) -> bytes:
        """The CA's own certificate, PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return self._certificate.public_bytes(Encoding.PEM)

    def client(self, name: str) -> KeyPair:
        """Sign a certificate that proves a client."""
        return self._leaf(name, names=(), client=True)

    def server(self, name: str, names: Iterable[str]) -> KeyPair:
        """Sign a certificate for a server that is reached under `names` (addresses or DNS names)."""
        return self._leaf(name, names=tuple(names), client=False)

    def _leaf(self, name: str, *, names: tuple[str, ...], client: bool) -> KeyPair:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.serialization import Encoding
        from cryptography.x509.oid import ExtendedKeyUsageOID

        key = _new_key()
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            _builder(_name(name), self._certificate.subject, key, LEAF_DAYS)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_san(n) for n in names]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return KeyPair(certificate.public_bytes(Encoding.PEM), _private_pem(key))


def make_ssh_key(comment: str) -> KeyPair:
    """Make an ed25519 key pair for SSH: `key` in OpenSSH's private form, `certificate` the public line."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return KeyPair(public + b" " + comment.encode() + b"\n", private)


@dataclass(frozen=True)
class SshKeys:
    """A lab's SSH keys.

    `client` is what its user logs in with, `host` what its nodes show, `node` what they log in to each other with.
    `ca` signs what nodes show, so that each knows the others.
    """

    client: KeyPair
    host: KeyPair
    node: KeyPair
    ca: KeyPair


def ssh_keys(lab: str) -> SshKeys:
    """Read the lab's SSH keys, or make them; the user's is id_ed25519 in the lab's folder."""
    folder = lab_dir(lab)
    names = ("id_ed25519", "ssh_host_ed25519_key", "node_ed25519", "ssh_ca_ed25519")
    return SshKeys(*(_ssh_pair(folder, name, lab) for name in names))


def ssh_host_certificate(keys: SshKeys, public: bytes) -> bytes:
    """Sign a node's public host key (a line as in a .pub file) for every name that the node is reached by."""
    from cryptography.hazmat.primitives.serialization import SSHCertificateBuilder, SSHCertificateType
    from cryptography.hazmat.primitives.serialization.ssh import load_ssh_private_key, load_ssh_public_key

    now = datetime.datetime.now(datetime.UTC)
    signed: bytes = (
        SSHCertificateBuilder()
        .public_key(load_ssh_public_key(public))  # type: ignore[arg-type]  # all that sshd shows can be certified
        .type(SSHCertificateType.HOST)
        .key_id(b"a node of labctl")
        .valid_for_all_principals()  # type: ignore[no-untyped-call]  # it lacks its `-> SSHCertificateBuilder`
        .valid_after((now - datetime.timedelta(days=1)).timestamp())
        .valid_before((now + datetime.timedelta(days=CA_DAYS)).timestamp())
        .sign(load_ssh_private_key(keys.ca.key, None))
        .public_bytes()
    )
    return signed + b"\n"


def registry_secret(lab: str) -> str:
    """Read the secret that lets write to the lab's registry, or make it: 64 hexadecimal digits."""
    known = known_registry_secret(lab)
    if not known:
        known = secrets.token_hex(32)
        write_private(lab_dir(lab) / REGISTRY_SECRET, known.encode())
    return known


def known_registry_secret(lab: str) -> str:
    """The secret of the lab's registry; "" for who did not make the lab."""
    try:
        return (lab_path(lab) / REGISTRY_SECRET).read_text().strip()
    except OSError:
        return ""


def _ssh_pair(folder: Path, name: str, lab: str) -> KeyPair:
    private, public = folder / name, folder / f"{name}.pub"
    if not private.exists() or not public.exists():
        made = make_ssh_key(f"labctl {lab}")
        write_private(public, made.certificate)
        write_private(private, made.key)
    return KeyPair(public.read_bytes(), private.read_bytes())


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _private_pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    # X.520 allows 64 characters in a common name, and a lab's and a node's name may be longer together.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _usage(*, ca: bool) -> x509.KeyUsage:
    """What the key is for; Python 3.13 and newer trust no CA that does not say it."""
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _san(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
