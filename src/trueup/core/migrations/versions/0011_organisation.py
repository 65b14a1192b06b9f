"""organisation: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Run the step."""
    run_sql("0011_organisation.sql")
