"""API v1: one table of routes; each write is a command, each read a room's query."""
