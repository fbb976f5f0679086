"""The metadata schema, as the ordered list of steps that made it (see `sqlite.database`)."""

from __future__ import annotations

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE records (
            id TEXT PRIMARY KEY,
            data BLOB NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE usage (
            id TEXT PRIMARY KEY,
            last_used_ns INTEGER NOT NULL,
            usage_count INTEGER NOT NULL,
            snapshot_size INTEGER
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE snapshots (
            key TEXT PRIMARY KEY,
            number INTEGER,
            lowers TEXT NOT NULL,
            committed INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE settings (
            name TEXT PRIMARY KEY,
            value TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE images (
            name TEXT PRIMARY KEY,
            data BLOB NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE leases (
            name TEXT NOT NULL,
            digest TEXT NOT NULL,
            PRIMARY KEY (name, digest)
        ) WITHOUT ROWID
        """,
    ),
    (
        "ALTER TABLE leases ADD COLUMN exact INTEGER NOT NULL DEFAULT 0",
        """
        CREATE TABLE history (
            ref TEXT PRIMARY KEY,
            completed_us INTEGER NOT NULL,
            pinned INTEGER NOT NULL,
            data BLOB NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX history_by_age ON history (pinned, completed_us)",
    ),
    (
        """
        CREATE TABLE resolved (
            name TEXT PRIMARY KEY,
            digest TEXT NOT NULL
        ) WITHOUT ROWID
        """,
    ),
    ("ALTER TABLE history ADD COLUMN blobs BLOB",),
    ("ALTER TABLE snapshots ADD COLUMN era INTEGER NOT NULL DEFAULT 0",),
)
