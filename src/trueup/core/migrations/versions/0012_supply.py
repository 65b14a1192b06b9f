"""supply: see the SQL file of the same name."""

from trueup.core.migrations import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Run the step."""
    run_sql("0012_supply.sql")
