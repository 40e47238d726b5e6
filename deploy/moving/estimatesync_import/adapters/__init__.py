"""The import's work in the two databases."""
