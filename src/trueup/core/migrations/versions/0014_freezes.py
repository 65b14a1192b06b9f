"""freezes: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Run the step."""
    run_sql("0014_freezes.sql")
