"""Traces, shared by all parts: what a sync's trace is, a seam that records spans, and OpenTelemetry behind it.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT is set; then nothing of OpenTelemetry is imported and nothing is sent.
"""
