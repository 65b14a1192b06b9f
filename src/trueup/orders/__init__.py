"""Orders: capture, history, cancellation, and statuses computed from facts."""
