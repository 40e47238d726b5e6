"""The import's decisions: pure functions on frozen values, without I/O, clock or logging."""
