"""core: batches, keys, journal, seals, policies, bypass record."""

from trueup.core.migrations import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the step."""
    run_sql("0001_core.sql")
