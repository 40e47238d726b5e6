"""Draws the chart's Grafana dashboard without Grafana: its panels' own queries, asked of a real Prometheus.

Grafana cannot be had from a package registry. What it would add is its look; what the panels show is the same.
"""
