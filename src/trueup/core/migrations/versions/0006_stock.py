"""stock: balances, movements, claims."""

from trueup.core.migrations import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run the step."""
    run_sql("0006_stock.sql")
