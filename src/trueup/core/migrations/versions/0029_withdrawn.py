"""withdrawn: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Run the step."""
    run_sql("0029_withdrawn.sql")
