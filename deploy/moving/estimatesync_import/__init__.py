"""Moves a first backend's estimates over: proposes how its table maps onto ours, imports it, and compares the two.

A person runs it, before the first syncs and alongside them. It works on the sync program's tables and reads values as
the sync program does; the sync program does not depend on it.
"""
