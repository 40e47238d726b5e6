"""The status page: the syncs in a browser, rendered on the server and usable without any script.

It reads and writes the same store by the same rules as the JSON API, without calling that API over HTTP. `routes.py`
puts it together; `core` holds what it decides and says; `docs/page.md` describes what people see, and why it is safe.
"""
