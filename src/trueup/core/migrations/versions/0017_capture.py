"""capture: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Run the step."""
    run_sql("0017_capture.sql")
