"""The import's settings: the table by which the commands read them, and the values they become."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from estimatesync_contract import legacy_settings
from estimatesync_contract.settings import DATABASE_SCHEMA, SettingsReader, TextSetting
from estimatesync_contract.settings import DATABASE_URL as SYNC_DATABASE_URL

DATABASE_URL: Final = replace(SYNC_DATABASE_URL, cure="it names the database that syncs write to")
OLD_DATABASE_URL: Final = TextSetting(
    name=legacy_settings.OLD_DATABASE_URL,
    meaning="The database with the old table, if it is another one; a user that may read it is enough",
    pattern=DATABASE_URL.pattern,
    rule=DATABASE_URL.rule,
    is_secret=True,
)
IMPORT_SETTINGS: Final = (DATABASE_URL, DATABASE_SCHEMA, OLD_DATABASE_URL)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The environment, checked."""

    database_url: str = field(repr=False)
    database_schema: str
    old_database_url: str = field(repr=False)

    @property
    def old_variable(self) -> str:
        """The variable that a person has to correct when the old database refuses."""
        return (DATABASE_URL if self.old_database_url == self.database_url else OLD_DATABASE_URL).name


def parse_settings(environment: Mapping[str, str], *, faults: Iterable[str] = ()) -> Settings:
    """Read the settings; `faults` have been found already.

    Raises:
        SettingsError: Something is missing or wrong; all of it is in the message.
    """
    reader = SettingsReader(environment, faults=faults)
    url = reader.read(DATABASE_URL)
    settings = Settings(
        database_url=url,
        database_schema=reader.read(DATABASE_SCHEMA),
        old_database_url=reader.read(OLD_DATABASE_URL) or url,
    )
    reader.raise_faults()
    return settings
