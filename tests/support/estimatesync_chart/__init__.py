"""Makes the chart's README and values.schema.json out of its values.yaml, so that the three cannot drift.

`make chart-readme` runs it; a test compares. Nothing that ships imports this package.
"""
