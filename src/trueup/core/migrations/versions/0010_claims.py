"""claims: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Run the step."""
    run_sql("0010_claims.sql")
