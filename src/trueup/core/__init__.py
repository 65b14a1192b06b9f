"""The mechanisms every room stands on; no business words of its own."""
