"""ladder: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Run the step."""
    run_sql("0021_ladder.sql")
