"""Benchmarks: figures with the machine's own limits beside them, measured in interleaved runs."""
