"""Makes a release of this checkout: wheel, images for two architectures, chart, bills of materials, provenance.

`make release` runs it. Whatever it decides is in `core`, pure; the same commit gives the same bytes. Nothing that ships
imports this package.
"""
