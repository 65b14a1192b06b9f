"""Sourcing: which location fulfils what, by rule or by optimisation, and why."""
