"""Computed after acts: what failures cost, and later terms, indicators and gates."""
