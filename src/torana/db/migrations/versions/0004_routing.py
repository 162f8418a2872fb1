"""Routing as data: several keys a provider, routes with targets, allowed hosts, guardrails."""

import json
from urllib.parse import urlsplit

import sqlalchemy as sa
from alembic import op

from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.db.models.base import Instant, JsonColumn

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_tables()
    op.add_column("api_keys", sa.Column("cache_seconds", sa.Integer(), nullable=True))
    _move_keys()
    _allow_hosts()
    _move_routes()


def _create_tables() -> None:
    op.create_table(
        "provider_keys",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("provider_id", sa.String(length=48), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_provider_keys_provider_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_keys")),
        sa.UniqueConstraint(
            "provider_id", "label", name=op.f("uq_provider_keys_provider_id_label")
        ),
    )
    op.create_index(op.f("ix_provider_keys_provider_id"), "provider_keys", ["provider_id"])
    op.create_table(
        "allowed_hosts",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_allowed_hosts")),
    )
    op.create_table(
        "guardrails",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("terms", JsonColumn, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guardrails")),
        sa.UniqueConstraint("name", name=op.f("uq_guardrails_name")),
    )


def _move_keys() -> None:
    """The one key of each provider becomes the first of several."""
    providers = sa.table(
        "providers",
        sa.column("id"),
        sa.column("api_key_encrypted"),
        sa.column("created_at", Instant()),
    )
    keys = sa.table(
        "provider_keys",
        sa.column("id"),
        sa.column("provider_id"),
        sa.column("label"),
        sa.column("encrypted"),
        sa.column("created_at", Instant()),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(providers)).all():
        if row.api_key_encrypted is not None:
            connection.execute(
                keys.insert().values(
                    id=new_id("pkey"),
                    provider_id=row.id,
                    label="first",
                    encrypted=row.api_key_encrypted,
                    created_at=row.created_at,
                )
            )
    with op.batch_alter_table("providers") as batch:
        batch.drop_column("api_key_encrypted")
        batch.add_column(sa.Column("preset", sa.String(length=32), nullable=True))
        batch.add_column(sa.Column("options", JsonColumn, server_default="{}", nullable=False))
        batch.add_column(sa.Column("updated_at", Instant(), nullable=True))
    op.execute("UPDATE providers SET updated_at = created_at")
    with op.batch_alter_table("providers") as batch:
        batch.alter_column("options", server_default=None)
        batch.alter_column("updated_at", nullable=False, existing_type=Instant())


def _allow_hosts() -> None:
    """Where providers were before private addresses needed a permission, they may stay."""
    providers = sa.table("providers", sa.column("base_url"))
    hosts = sa.table("allowed_hosts", sa.column("host"), sa.column("created_at", Instant()))
    connection = op.get_bind()
    urls = connection.scalars(sa.select(providers.c.base_url)).all()
    for host in sorted({urlsplit(url).hostname for url in urls} - {None}):
        connection.execute(hosts.insert().values(host=host, created_at=utc_now()))


def _move_routes() -> None:
    """A route names its targets by their providers' names, in one document."""
    with op.batch_alter_table("model_routes") as batch:
        batch.add_column(sa.Column("terms", JsonColumn, server_default="{}", nullable=False))
        batch.add_column(sa.Column("updated_at", Instant(), nullable=True))
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(
            "SELECT r.id, r.name, r.target_model, r.max_output_tokens, p.name AS provider "
            "FROM model_routes r JOIN providers p ON p.id = r.provider_id"
        )
    ).all()
    document = "CAST(:terms AS jsonb)" if connection.dialect.name == "postgresql" else ":terms"
    for row in rows:
        target = {"provider": row.provider, "model": row.target_model}
        if row.max_output_tokens is not None:
            target["max_output"] = row.max_output_tokens
        connection.execute(
            sa.text(f"UPDATE model_routes SET terms = {document} WHERE id = :id"),  # noqa: S608
            {"id": row.id, "terms": json.dumps({"name": row.name, "targets": [target]})},
        )
    op.execute("UPDATE model_routes SET updated_at = created_at")
    op.drop_index(op.f("ix_model_routes_provider_id"), "model_routes")
    with op.batch_alter_table("model_routes") as batch:
        batch.drop_constraint(op.f("fk_model_routes_provider_id"), type_="foreignkey")
        batch.drop_column("provider_id")
        batch.drop_column("target_model")
        batch.drop_column("max_output_tokens")
        batch.alter_column("terms", server_default=None)
        batch.alter_column("updated_at", nullable=False, existing_type=Instant())
