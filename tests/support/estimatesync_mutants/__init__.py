"""Breaks the product's decisions on purpose, one small change at a time, and sees whether a test notices.

A change that no test notices is a rule that nobody holds. `make mutants` draws some hundred changes by a seed.
"""
