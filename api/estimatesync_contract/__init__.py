"""What the API, the operator and the sync program agree on, and nothing else.

Every part imports this package and no part imports another. It is pure: no I/O (but that `tls_trust` looks
where files are), no clock, no logging, and msgspec as its only dependency, so that the sync program starts fast and
each image stays small.
"""
