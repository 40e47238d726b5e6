"""Draws the chart's Grafana dashboard without Grafana: its panels' own queries, asked of a real Prometheus.

No package registry has Grafana. What it would add is its look; what the panels show is the same.
"""
