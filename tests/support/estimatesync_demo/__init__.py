"""The demos: the product's main job on sample data, shown step by step, with every outcome checked at the end.

Run by `make demo` and `make demo-cluster`. They use the product from outside, as
Make.com and a person at a terminal do.
"""
