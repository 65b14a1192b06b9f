"""writers: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Run the step."""
    run_sql("0023_writers.sql")
