"""Customers, and the one place where personal data lives."""
