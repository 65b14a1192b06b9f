"""parties: customers and persons."""

from trueup.core.migrations import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run the step."""
    run_sql("0005_parties.sql")
