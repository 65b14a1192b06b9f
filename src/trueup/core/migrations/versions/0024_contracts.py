"""contracts: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Run the step."""
    run_sql("0024_contracts.sql")
