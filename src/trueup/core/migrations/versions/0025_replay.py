"""replay: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Run the step."""
    run_sql("0025_replay.sql")
