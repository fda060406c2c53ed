"""Benchmarks: ours and what a user would pick instead, in turn, in one run."""
