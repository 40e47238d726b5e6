"""A run of the tests: what runs beside what on several workers, and the table at its end."""
