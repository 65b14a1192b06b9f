"""workflow: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Run the step."""
    run_sql("0015_workflow.sql")
