"""holds: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Run the step."""
    run_sql("0018_holds.sql")
