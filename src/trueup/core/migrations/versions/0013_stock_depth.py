"""stock depth: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Run the step."""
    run_sql("0013_stock_depth.sql")
