"""The status page: the syncs for people, in a browser, made on the server and useful without any script.

A second door into the same rooms: it asks the same store and follows the same rules as the JSON API, and never asks
the API over HTTP. `routes.py` puts it together; `docs/page.md` says what a person sees, and why it is safe.
"""
