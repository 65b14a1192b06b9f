"""changes: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Run the step."""
    run_sql("0019_changes.sql")
