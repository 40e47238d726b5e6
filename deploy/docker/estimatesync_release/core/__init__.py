"""Decisions: what a release consists of, byte by byte."""
