"""containments: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Run the step."""
    run_sql("0028_containments.sql")
