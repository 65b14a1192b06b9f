"""jobs: procrastinate's own tables, as its installed version ships them."""

from trueup.core.migrations import run_text

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Run the step."""
    from procrastinate.schema import SchemaManager

    run_text(SchemaManager.get_schema())
    run_text("""
        grant select, insert, update, delete on procrastinate_jobs, procrastinate_periodic_defers, procrastinate_events,
            procrastinate_workers to trueup_app;
        grant usage on all sequences in schema public to trueup_app;
        create table check_result (
            name text primary key,
            promise text not null,
            at timestamptz not null,
            milliseconds integer not null,
            failing bigint not null,
            sample jsonb not null
        );
        grant select, insert, update, delete on check_result to trueup_app;
    """)
