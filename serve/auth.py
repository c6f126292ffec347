"""Bearer tokens: kept as hashes, compared in constant time, read again when their file changes.

    python -m serve.auth NAME [rate=5 burst=10] >> tokens     # prints the line to keep; the token itself goes to the terminal, once

A file holds one caller a line: `NAME sha256=HEX [rate=REQUESTS_A_SECOND] [burst=REQUESTS]`. The environment variable RUPANTARA_TOKENS
holds `NAME:TOKEN,NAME:TOKEN`. To rotate a token write the new line, hand the token out, then delete the old line: no restart.
"""

import contextlib
import hashlib
import hmac
import ipaddress
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rupantara.errors import UserError
from rupantara.storage import uris

VARIABLE = "RUPANTARA_TOKENS"
LOOK_AGAIN_S = 1.0
"""Seconds after which the file is read again."""


@dataclass(frozen=True)
class Caller:
    """Who asks: a name for limits and logs, the token's SHA-256 (hex), and its own limits (0 = the application's)."""

    name: str
    sha256: str = ""
    rate_per_s: float = 0.0
    burst: float = 0.0


def hashed(token: str) -> str:
    """Return the SHA-256 of a token, hex. Tokens are 256 random bits, which need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def parse_line(line: str) -> Caller:
    """Read a line of the file; UserError for anything else."""
    name, *fields = line.split()
    try:
        values = dict(field.split("=", 1) for field in fields)
        made = Caller(name, values.pop("sha256").lower(), float(values.pop("rate", 0)), float(values.pop("burst", 0)))
        sound = len(bytes.fromhex(made.sha256)) == 32 and made.rate_per_s >= 0 and made.burst >= 0
    except (ValueError, KeyError):
        sound, values, made = False, {}, Caller(name)
    if values or not sound:
        raise UserError(f"a line of tokens must be NAME sha256=HEX [rate=N] [burst=N], got the one of {name!r}")
    return made


def parse_variable(value: str) -> list[Caller]:
    """Read NAME:TOKEN,NAME:TOKEN."""
    callers = []
    for part in filter(None, (one.strip() for one in value.split(","))):
        name, _, token = part.partition(":")
        if not name or len(token) < 16:
            raise UserError(f"{VARIABLE} must be NAME:TOKEN,… with tokens of 16 or more characters, got {name!r}")
        callers.append(Caller(name, hashed(token)))
    return callers


class Tokens:
    """The callers that are known now."""

    def __init__(self, file: str, variable: str) -> None:
        """Read the file ("" = none) and the variable's value; UserError for lines that are none."""
        self._file, self._fixed = file, parse_variable(variable)
        self._callers: list[Caller] = []
        self._read_at = -float("inf")
        self._refresh()

    def __bool__(self) -> bool:
        return bool(self._file or self._fixed)

    def _refresh(self) -> None:
        if time.monotonic() - self._read_at < LOOK_AGAIN_S:
            return
        self._read_at = time.monotonic()
        lines = uris.read_bytes(self._file).decode().splitlines() if self._file else []
        self._callers = [parse_line(line) for line in lines if line.strip() and not line.startswith("#")]
        self._callers += self._fixed

    def caller(self, authorization: str) -> Caller | None:
        """Return whose token the header bears, None for nobody's. Every known hash is compared, each in constant time."""
        # A file half written, or with a typing error: those known so far stay, and the next look tells.
        with contextlib.suppress(OSError, UserError, UnicodeDecodeError):
            self._refresh()
        scheme, _, token = authorization.partition(" ")
        digest = hashed(token.strip()) if scheme.lower() == "bearer" else ""
        found = [caller for caller in self._callers if hmac.compare_digest(caller.sha256, digest)]
        return found[0] if found else None


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require(host: str, tokens: Tokens) -> None:
    """Raise UserError where an address beyond loopback would be served without tokens."""
    if not is_loopback(host) and not tokens:
        raise UserError(
            f"tokens must be given (tokens=FILE or {VARIABLE}) to listen on {host}, beyond loopback: python -m serve.auth NAME makes one"
        )


def main(arguments: Sequence[str]) -> int:
    """Make a token: its line to stdout, itself to stderr."""
    if not arguments or arguments[0].startswith("-") or any("=" not in one for one in arguments[1:]):
        print("usage: python -m serve.auth NAME [rate=N] [burst=N] >> TOKENS", file=sys.stderr)
        return 2
    token = secrets.token_urlsafe(32)
    line = " ".join([arguments[0], f"sha256={hashed(token)}", *arguments[1:]])
    try:
        parse_line(line)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(line)
    print(f"token of {arguments[0]}, shown once: {token}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
