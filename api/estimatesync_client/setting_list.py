"""The command line's settings as people are told of them; `settings` reads them."""

from typing import Final

from estimatesync_contract.setting import Setting

from estimatesync_client.settings import DEFAULT_URL, KEY_VARIABLE, URL_VARIABLE

CLIENT_SETTINGS: Final = (
    Setting(
        name=URL_VARIABLE, meaning="Where the API is: that of `make local` unless told otherwise", default=DEFAULT_URL
    ),
    Setting(
        name=KEY_VARIABLE,
        meaning="One of the API's keys; there is no option for it, since command lines are public on a machine",
        is_required=True,
        is_secret=True,
    ),
)
