"""What the pages show and decide, as pure functions of syncs, requests and the time: no I/O, no framework."""
