"""Whatever went wrong, grouped by cause: with an owner, a clock and a price."""
