"""The import's settings as people are told of them; `settings` reads them."""

from typing import Final

from estimatesync_contract.legacy_settings import OLD_DATABASE_URL
from estimatesync_contract.setting import DATABASE_SCHEMA, DATABASE_URL, Setting

IMPORT_SETTINGS: Final = (
    DATABASE_URL,
    DATABASE_SCHEMA,
    Setting(
        name=OLD_DATABASE_URL,
        meaning="The database with the old table, if it is another one; a user that may read it is enough",
        is_secret=True,
    ),
)
