"""authority: people, services, roles, keys, sign-in."""

from trueup.core.migrations import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the step."""
    run_sql("0002_authority.sql")
