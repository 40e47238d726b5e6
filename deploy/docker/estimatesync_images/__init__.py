"""Builds the four images of this checkout with the container engine at hand. Nothing that ships imports this package.

`make images` runs it; the Dockerfile next to it is the recipe. See deploy/docker/README.md.
"""
