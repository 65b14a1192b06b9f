"""The movement ledger, its balances, and the claims on them."""
