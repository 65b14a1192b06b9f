"""Migrate: from another system's files to governed records."""
