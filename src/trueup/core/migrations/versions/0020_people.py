"""people: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Run the step."""
    run_sql("0020_people.sql")
