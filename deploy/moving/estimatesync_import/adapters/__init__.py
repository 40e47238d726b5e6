"""The import's ways to the outside world, one module for each system."""
