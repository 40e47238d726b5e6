"""The API's ways to the outside world, one module for each system."""
