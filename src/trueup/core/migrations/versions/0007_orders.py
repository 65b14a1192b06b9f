"""orders: orders, lines, keys."""

from trueup.core.migrations import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Run the step."""
    run_sql("0007_orders.sql")
