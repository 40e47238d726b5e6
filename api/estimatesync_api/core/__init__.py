"""The API's decisions: pure functions on frozen values, without I/O, clock or logging."""
