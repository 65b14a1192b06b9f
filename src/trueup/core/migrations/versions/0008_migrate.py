"""migrate: runs, their books, the crosswalk."""

from trueup.core.migrations import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Run the step."""
    run_sql("0008_migrate.sql")
