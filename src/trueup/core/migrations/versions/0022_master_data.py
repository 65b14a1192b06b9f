"""master_data: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Run the step."""
    run_sql("0022_master_data.sql")
