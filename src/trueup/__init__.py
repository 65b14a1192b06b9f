"""Trueup: an order management system that governs its own implementation."""

__version__ = "0.1.0"
