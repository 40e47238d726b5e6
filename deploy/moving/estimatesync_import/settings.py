"""The import's settings: the table by which the commands read where the two databases are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from estimatesync_contract import legacy_settings
from estimatesync_contract.settings import (
    DATABASE_PARAMETERS,
    DATABASE_SCHEMA,
    DatabaseUrlSetting,
    SettingsReader,
    read_database_url,
)
from estimatesync_contract.settings import DATABASE_URL as SYNC_DATABASE_URL

DATABASE_URL: Final = msgspec.structs.replace(SYNC_DATABASE_URL, cure="it names the database that syncs write to")
OLD_DATABASE_URL: Final = DatabaseUrlSetting(
    name=legacy_settings.OLD_DATABASE_URL,
    meaning="The database with the old table, if it is a different one; a user that can read it is enough",
    is_secret=True,
)
IMPORT_SETTINGS: Final = (DATABASE_URL, DATABASE_PARAMETERS, DATABASE_SCHEMA, OLD_DATABASE_URL)


@dataclass(frozen=True, kw_only=True)
class Databases:
    """Where both databases are: the URL of ours, the schema of our tables in it, and the URL of the old one."""

    url: str = field(repr=False)
    schema: str
    old_url: str = field(repr=False)

    @property
    def old_variable(self) -> str:
        """The variable to correct when the old database refuses."""
        return DATABASE_URL.name if self.is_same else OLD_DATABASE_URL.name

    @property
    def is_same(self) -> bool:
        """Whether the old table is in our database."""
        return self.old_url == self.url


def parse_settings(environment: Mapping[str, str], *, faults: Iterable[str] = ()) -> Databases:
    """Read the settings; `faults` have been found already.

    Raises:
        SettingsError: Something is missing or wrong; all of it is in the message.
    """
    reader = SettingsReader(environment, faults=faults)
    url, old_url = read_database_url(reader, DATABASE_URL), reader.read(OLD_DATABASE_URL)
    is_other = bool(old_url) and old_url != reader.read(DATABASE_URL)
    databases = Databases(url=url, schema=reader.read(DATABASE_SCHEMA), old_url=old_url if is_other else url)
    reader.raise_faults()
    return databases
