"""What secrets look like in texts: logs, errors, configurations."""

from __future__ import annotations

import base64
import binascii
import re

__all__ = ["FLAG", "HIDDEN", "MEMBER", "VARIABLE", "without_secrets"]

HIDDEN = "***"
# Bounded on both sides, so that a log of very long words costs no more than another.
WORD = r"[\w.-]{0,60}"
SURE = "PASSWORD|PASSWD|PASSPHRASE|REQUIREPASS|TOKEN|SECRET|CREDENTIAL|AUTHORIZATION|API_?KEY|_KEY|UNLOCKKEY|_PWD|_DSN"
NAME = f"{WORD}(?:{SURE}){WORD}"
MEMBER = re.compile(rf"{NAME}|auth|{WORD}registry-auth|pwd|dsn", re.IGNORECASE)
# A variable's name may say KEY in any way; in prose that would hide too much.
VARIABLE = re.compile(rf"(?P<name>{WORD}(?:{SURE}|KEY|PASS){WORD})=(?P<value>.+)", re.IGNORECASE)
FLAG = re.compile(rf"--?{NAME}|--?pass|-pw|--user|-u", re.IGNORECASE)
VALUE = r"(?:\\?\"[^\"\n]*\"|'[^'\n]*'|[^\s,;}\]]+)"
IN_TEXT = (
    # Docker's own: join tokens, the key of a locked swarm, and what its debug log says of each call.
    (re.compile(r"\b(SWMTKN|SWMKEY)-[\w-]+"), rf"\1-{HIDDEN}"),
    (re.compile(r"(form data: )\S.*"), rf"\1{HIDDEN}"),
    (re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL), rf"[{HIDDEN} \1]"),
    # scheme://user:password@, also without a user; and a token in a user's place, which is longer than a name.
    (re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@:'\"]{0,100}:[^\s@'\"]{1,200}@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    (re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@:'\"]{16,200}@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    # user:password@host, user:password@tcp(host); an image with its digest is none.
    (re.compile(r"(?<![\w./-])([\w.-]{1,60}):(?!//)[^\s@/'\"=:]{1,200}@(?!sha\d+:)(?=[\w(\[])"), rf"\1:{HIDDEN}@"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # Flags: -u user:password, --password secret, mysql -psecret.
    (
        re.compile(r"(?<!\S)(-u|-U|--user|--proxy-user)([ =]?)(['\"]?[^\s:'\"=-][^\s:'\"]{0,100}):[^\s'\"]+"),
        rf"\1\2\3:{HIDDEN}",
    ),
    (re.compile(rf"(?<!\S)(--?(?:{NAME}|pass|auth))([ =])(?!-){VALUE}", re.IGNORECASE), rf"\1\2{HIDDEN}"),
    (re.compile(r"(?<=\s)-p(?=[^\s\d=-])\S{3,}"), f"-p{HIDDEN}"),
    # name=value and "name": "value".
    (
        re.compile(rf"\b(?P<name>{NAME})(?P<sign>\\?[\"']?\s?[=:]\s?){VALUE}", re.IGNORECASE),
        rf"\g<name>\g<sign>{HIDDEN}",
    ),
    (
        re.compile(
            rf"(?P<name>\"(?:auth|pwd|dsn)\\?\"\s?:\s?|\b(?:pwd|dsn|x-registry-auth)[=:]\s?)(?!/){VALUE}", re.IGNORECASE
        ),
        rf"\g<name>{HIDDEN}",
    ),
    # Forms that say by themselves what they are: JSON web tokens, keys of clouds and of code hosts.
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"), HIDDEN),
    (
        re.compile(
            r"\b(?:AKIA[0-9A-Z]{16}|gh[a-z]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|dckr_pat_[\w-]{16,}|xox[a-z]-[\w-]{10,})"
        ),
        HIDDEN,
    ),
)
BASE64 = re.compile(r"(?<![\w+/.=-])[A-Za-z0-9+/]{8,400}={0,2}(?![\w+/=.-])")
LOGIN = re.compile(rb"[\w.@-]{1,60}:[\x21-\x7e]{1,200}")


def without_secrets(text: str) -> str:
    """Return text without what looks like a secret."""
    for pattern, hidden in IN_TEXT:
        text = pattern.sub(hidden, text)
    return BASE64.sub(_login_hidden, text)


def _login_hidden(found: re.Match[str]) -> str:
    """`user:password` in base64 is how registries and HTTP take a login."""
    word = found[0]
    if len(word) % 4:
        return word
    try:
        return HIDDEN if LOGIN.fullmatch(base64.b64decode(word, validate=True)) else word
    except binascii.Error:
        return word
