"""partners: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Run the step."""
    run_sql("0027_partners.sql")
