"""What the environment tells the commands: two databases, and the schema of ours; `setting_list` explains them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from estimatesync_contract.environment_reader import EnvironmentReader
from estimatesync_contract.job_environment import DATABASE_URL
from estimatesync_contract.legacy_settings import OLD_DATABASE_URL
from estimatesync_job.settings import read_database_url, read_schema


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The environment, checked."""

    database_url: str = field(repr=False)
    database_schema: str
    old_database_url: str = field(repr=False)

    @property
    def old_variable(self) -> str:
        """The variable that a person has to correct when the old database refuses."""
        return DATABASE_URL if self.old_database_url == self.database_url else OLD_DATABASE_URL


def parse_settings(environment: Mapping[str, str], *, faults: Iterable[str] = ()) -> Settings:
    """Read the settings; `faults` have been found already.

    Raises:
        SettingsError: Something is missing or wrong; all of it is in the message.
    """
    reader = EnvironmentReader(environment, faults=faults)
    url = read_database_url(reader, "it names the database that syncs write to")
    settings = Settings(
        database_url=url,
        database_schema=read_schema(reader),
        old_database_url=reader.read_text(OLD_DATABASE_URL, url),
    )
    if not settings.old_database_url.startswith(("postgresql://", "postgres://")) and url:
        reader.faults.append(f"{OLD_DATABASE_URL} must start with postgresql://")
    reader.raise_faults()
    return settings
