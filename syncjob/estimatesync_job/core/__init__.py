"""The sync program's decisions: pure functions on frozen values, without I/O, clock or logging."""
