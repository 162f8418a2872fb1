"""Migrations on both databases."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from torana.db.migrate import current, head, upgrade
from torana.db.models import Base
from torana.db.revision import HEAD
from torana.db.session import Database


def test_upgrade_brings_an_empty_database_to_head_and_again_changes_nothing(database_url):
    database = Database(database_url)
    assert current(database) is None
    assert upgrade(database) == (None, HEAD)
    assert upgrade(database) == (HEAD, HEAD)
    database.dispose()


def test_the_revision_known_without_alembic_is_the_newest():
    assert head() == HEAD


def test_migrations_make_what_the_models_say(database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)
    assert [item for item in differences if "ledger_entries_" not in str(item)] == []
