"""adoption: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Run the step."""
    run_sql("0026_adoption.sql")
