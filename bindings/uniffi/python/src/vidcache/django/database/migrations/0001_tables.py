"""The tables, by plain CREATE TABLE. `vidcache::in_database::Database::create` has the same, and a test compares
them."""

from __future__ import annotations

from typing import Any

from django.db import migrations

CREATE = [
    "CREATE TABLE vidcache_meta (id bigint PRIMARY KEY, portal bigint NOT NULL, key_check bytea NOT NULL, "
    "wrapped_key bytea NOT NULL, format bigint NOT NULL, min_reader bigint NOT NULL, made_at bigint NOT NULL, "
    "doubted_to bigint, doubted_at bigint, horizon bigint, prune_tx bigint, pruned_at bigint)",
    "CREATE TABLE vidcache_links (user_key bytea NOT NULL, vid bigint NOT NULL, first_at bigint NOT NULL, "
    "last_at bigint NOT NULL, PRIMARY KEY (user_key, vid))",
    "CREATE INDEX vidcache_links_vid ON vidcache_links (vid)",
    "CREATE TABLE vidcache_contacts (vid bigint PRIMARY KEY, email bytea, whose bytea, email_at bigint, "
    "read_at bigint, deleted_at bigint, restored_at bigint, doubted_to bigint, doubted_at bigint, asked_at "
    "bigint)",
    "CREATE TABLE vidcache_merges (old_vid bigint NOT NULL, into_vid bigint NOT NULL, at bigint NOT NULL, born "
    "boolean NOT NULL, heard_at bigint NOT NULL, PRIMARY KEY (old_vid, into_vid))",
    "CREATE INDEX vidcache_merges_into ON vidcache_merges (into_vid)",
    "CREATE TABLE vidcache_secondaries (vid bigint NOT NULL, email bytea NOT NULL, at bigint NOT NULL, PRIMARY "
    "KEY (vid, email))",
    "CREATE TABLE vidcache_changes (token bigint PRIMARY KEY, user_key bytea, begun_at bigint, seen_at bigint, "
    "ended_at bigint, refused bigint, tx bigint NOT NULL)",
    "CREATE INDEX vidcache_changes_outstanding ON vidcache_changes (user_key) WHERE ended_at IS NULL",
    "CREATE INDEX vidcache_changes_ended ON vidcache_changes (ended_at) WHERE ended_at IS NOT NULL",
    "CREATE INDEX vidcache_changes_tx ON vidcache_changes (tx) WHERE ended_at IS NULL",
    "CREATE INDEX vidcache_changes_user ON vidcache_changes (user_key) WHERE ended_at IS NOT NULL",
    "CREATE TABLE vidcache_conflicts (user_key bytea PRIMARY KEY, holder bigint, why bigint, since bigint, "
    "last_at bigint, ended_at bigint)",
    "CREATE TABLE vidcache_erased (vid bigint PRIMARY KEY)",
    "CREATE TABLE vidcache_buried (email bytea PRIMARY KEY)",
    "CREATE TABLE vidcache_erased_users (mark bytea PRIMARY KEY)",
    "CREATE TABLE vidcache_leases (user_key bytea PRIMARY KEY, holder bigint NOT NULL, until_at bigint NOT NULL)",
    "CREATE TABLE vidcache_deadlines (ms bigint PRIMARY KEY, seen_at bigint NOT NULL)",
    "CREATE TABLE vidcache_touched (tx bigint NOT NULL, user_key bytea, vid bigint)",
    "CREATE INDEX vidcache_touched_tx ON vidcache_touched (tx)",
]
TABLES = [statement.split()[2] for statement in CREATE if statement.startswith("CREATE TABLE")]


class OnPostgresql(migrations.RunSQL):  # type: ignore[misc]
    """Does nothing in a database of another kind: the tests of a project may have one, and `manage.py check` says what
    the store needs."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):  # type: ignore[misc]
    """`manage.py migrate vidcache_database`."""

    initial = True
    dependencies: list[Any] = []
    operations = [OnPostgresql(CREATE, [f"DROP TABLE {table}" for table in reversed(TABLES)])]
