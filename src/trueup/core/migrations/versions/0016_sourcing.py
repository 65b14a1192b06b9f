"""sourcing: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Run the step."""
    run_sql("0016_sourcing.sql")
