"""Serves the documentation of this checkout: its navigation, its generated pages, and the commands that it shows."""
