"""A real Payload CMS with Attic Tech's collections, and people who work in it: what the sync program is proved against.

`tests/support/payload` holds the servers, one folder for each major version with its locked packages; `installation`
installs them from npm, `server` runs them, `client` speaks their REST API, `content` fills them. `people` changes
estimates at a given rate, `history` keeps every version in Payload's own database, and `comparison` holds the sync's
tables to it.
"""
