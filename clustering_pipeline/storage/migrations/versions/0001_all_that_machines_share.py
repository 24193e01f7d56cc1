"""Corrections, what was looked at, cluster numbers, downloads, results and deliveries."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# A database that kept the corrections alone before has them and what was looked at in `public`,
# where older releases go on finding them.
_OF_BEFORE = """
SELECT EXISTS (
    SELECT 1 FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = '{table}' AND column_name = '{column}')
"""
_STATEMENTS = """
CREATE TABLE {schema}.corrections (
    number BIGSERIAL PRIMARY KEY, kind TEXT NOT NULL,
    id_a TEXT, image_a TEXT, id_b TEXT, image_b TEXT, cluster_id BIGINT, name TEXT, category TEXT,
    author TEXT NOT NULL, time TEXT NOT NULL, withdrawn BIGINT);
"""
_LOOKED_AT = """
CREATE TABLE {schema}.looked_at (
    category TEXT NOT NULL, content TEXT NOT NULL, cluster_id BIGINT,
    author TEXT NOT NULL, time TEXT NOT NULL, PRIMARY KEY (category, content));
"""
_TABLES = """
CREATE TABLE {schema}.identity (value TEXT PRIMARY KEY);
INSERT INTO {schema}.identity VALUES (replace(gen_random_uuid()::text, '-', ''));

CREATE TABLE {schema}.states (
    state BIGSERIAL PRIMARY KEY, category TEXT NOT NULL, number BIGINT NOT NULL,
    members TEXT NOT NULL, time TEXT NOT NULL);
CREATE INDEX states_by_category ON {schema}.states (category);
CREATE TABLE {schema}.results (
    result BIGSERIAL PRIMARY KEY, category TEXT NOT NULL, states TEXT NOT NULL, time TEXT NOT NULL);
CREATE INDEX results_by_category ON {schema}.results (category);
CREATE TABLE {schema}.events (
    event BIGSERIAL PRIMARY KEY, category TEXT NOT NULL, time TEXT NOT NULL, kind TEXT NOT NULL,
    number BIGINT NOT NULL, other BIGINT, members BIGINT NOT NULL);
CREATE INDEX events_by_category ON {schema}.events (category);

CREATE TABLE {schema}.pictures (
    key TEXT PRIMARY KEY, image_sha256 TEXT, format TEXT, width BIGINT, height BIGINT, bytes BIGINT,
    etag TEXT, last_modified TEXT, error_kind TEXT, error TEXT, http_status BIGINT,
    is_transient BIGINT, limits TEXT, reach TEXT, asked_at DOUBLE PRECISION NOT NULL);

CREATE TABLE {schema}.reported_results (
    number BIGSERIAL PRIMARY KEY, category TEXT NOT NULL, content TEXT NOT NULL, time TEXT NOT NULL,
    placement TEXT NOT NULL);
CREATE INDEX reported_results_by_category ON {schema}.reported_results (category);

CREATE TABLE {schema}.deliveries (
    path TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (path, sha256));

CREATE FUNCTION {schema}.only_added() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% are only ever added', TG_TABLE_NAME; END $$;
"""
_STAYS = """
CREATE TRIGGER {table}_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.{table}
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.only_added();
"""
_SCHEMA = "clustering_pipeline"


def upgrade() -> None:
    """Make all tables, those of the corrections only where an older release has not made them."""
    op.execute(_TABLES.format(schema=_SCHEMA))
    append_only = ["states", "results", "events"]
    if not _is_there("corrections", "withdrawn"):
        op.execute(_STATEMENTS.format(schema=_SCHEMA))
        append_only.append("corrections")
    if not _is_there("looked_at", "cluster_id"):
        op.execute(_LOOKED_AT.format(schema=_SCHEMA))
    for table in append_only:
        op.execute(_STAYS.format(schema=_SCHEMA, table=table))


def _is_there(table: str, column: str) -> bool:
    query = _OF_BEFORE.format(table=table, column=column)
    return bool(op.get_bind().exec_driver_sql(query).scalar())
