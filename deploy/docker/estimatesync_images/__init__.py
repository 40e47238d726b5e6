"""Builds the three images of this checkout with whichever engine there is. Nothing that ships imports this package.

`make images` runs it; the Dockerfile beside it is the recipe. See deploy/docker/README.md.
"""
