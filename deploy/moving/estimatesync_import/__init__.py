"""Moves a first backend's estimates over: proposes how its table maps onto ours, imports it, and compares the two.

A person runs it, before and beside the first syncs. It knows the sync program's tables and reads values as the sync
program does; the sync program knows nothing of it.
"""
