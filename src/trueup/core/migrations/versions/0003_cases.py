"""cases: cases and what they concern."""

from trueup.core.migrations import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run the step."""
    run_sql("0003_cases.sql")
