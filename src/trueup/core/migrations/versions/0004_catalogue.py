"""catalogue: items, aliases, locations."""

from trueup.core.migrations import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the step."""
    run_sql("0004_catalogue.sql")
