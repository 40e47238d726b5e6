"""Which credentials Attic Tech has refused: the sync program remembers them in its tables, and `doctor` reads them.

Attic Tech locks an account after a few wrong passwords, for people, too: syncs that come by the hour would keep it
locked. The tables keep a digest of what was refused, salted and slow to compute: nobody guesses a password by it.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

SALT_BYTES: Final = 16
_COST: Final = 2**14
"""Of scrypt (RFC 7914): 16 MB and some 50 ms for each guess."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a login is tried with, and SYNC_LOGIN_RETRY, a person's word to try once more."""

    url: str
    email: str = field(repr=False)
    password: str = field(repr=False)
    retry: str

    def compute_digest(self, salt: bytes) -> bytes:
        """Compute what tells whether other credentials are the same."""
        tried = msgspec.json.encode((self.url, self.email, self.password, self.retry))
        return hashlib.scrypt(tried, salt=salt, n=_COST, r=8, p=1, dklen=32)


class RefusedLogin(msgspec.Struct, frozen=True, kw_only=True):
    """The newest refusal: the digest of what was tried, when that was, and what Attic Tech said."""

    salt: bytes
    digest: bytes
    refused_at: datetime
    said: str

    def is_of(self, credentials: Credentials) -> bool:
        """Return whether these are the credentials that were refused."""
        return credentials.compute_digest(self.salt) == self.digest
