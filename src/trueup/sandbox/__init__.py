"""Simulated neighbours with planted faults: what Trueup is tried on before it meets the real ones."""
