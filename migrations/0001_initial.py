"""Step 1: the index as it first was.

Every table has an integer primary key, because SQLite may renumber the rows of any other table and the full-text
tables point to rows by number. A message's number is ``session number * 2**24 + seq``, so the session of a hit is
known without reading the message, and a session's messages lie together. The full-text tables name their content
table in double quotes, which is how Datasette recognises them.
"""

from __future__ import annotations

from sqlite_utils import Migrations
from sqlite_utils.db import Database

migrations = Migrations("sessionstore-index")

SCHEMA = """
CREATE TABLE meta (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, value);

CREATE TABLE sources (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, importer TEXT, importer_version INTEGER);

CREATE TABLE batches (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, started_at TEXT, finished_at TEXT, state TEXT,
    sessions INTEGER, messages INTEGER
);

CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    source TEXT NOT NULL,
    native_id TEXT,
    revision TEXT NOT NULL,
    title TEXT,
    source_title TEXT,
    cjk TEXT,
    project TEXT,
    cwd TEXT,
    branch TEXT,
    git_commit TEXT,
    remote TEXT,
    models TEXT,
    created_at TEXT,
    updated_at TEXT,
    sorted_at TEXT NOT NULL,
    messages INTEGER NOT NULL,
    user_messages INTEGER,
    assistant_messages INTEGER,
    tool_messages INTEGER,
    system_messages INTEGER,
    bytes INTEGER,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    reasoning_tokens INTEGER,
    cost_microusd INTEGER,
    estimated INTEGER,
    forked_from TEXT,
    relation TEXT,
    issues TEXT,
    starred INTEGER NOT NULL DEFAULT 0,
    archived INTEGER NOT NULL DEFAULT 0,
    paged INTEGER NOT NULL,
    pages TEXT NOT NULL,
    content INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    change_seq INTEGER NOT NULL
);
CREATE UNIQUE INDEX sessions_revision ON sessions (revision);
CREATE INDEX sessions_key ON sessions (key);
CREATE INDEX sessions_native_id ON sessions (native_id);
CREATE INDEX sessions_sorted_at ON sessions (sorted_at);
CREATE INDEX sessions_source ON sessions (source);
CREATE INDEX sessions_project ON sessions (project);
CREATE INDEX sessions_change_seq ON sessions (change_seq);

CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id),
    seq INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    role TEXT NOT NULL,
    kind TEXT,
    time TEXT,
    model TEXT,
    tools TEXT,
    errors INTEGER,
    images INTEGER,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    reasoning_tokens INTEGER,
    cost_microusd INTEGER,
    digest INTEGER NOT NULL,
    text TEXT,
    reasoning TEXT,
    tool_input TEXT,
    tool_output TEXT,
    cjk TEXT
);
CREATE INDEX messages_facts ON messages (
    session_id, seq, role, kind, time, model, errors, images,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_microusd
);

CREATE TABLE tool_calls (
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id),
    message_id INTEGER NOT NULL REFERENCES messages (id),
    call_id TEXT,
    name TEXT NOT NULL,
    result_id INTEGER REFERENCES messages (id),
    is_error INTEGER
);
CREATE INDEX tool_calls_session ON tool_calls (session_id);
CREATE INDEX tool_calls_name ON tool_calls (name);

CREATE TABLE tags (id INTEGER PRIMARY KEY, session_id INTEGER NOT NULL REFERENCES sessions (id), tag TEXT NOT NULL);
CREATE INDEX tags_session ON tags (session_id);
CREATE INDEX tags_tag ON tags (tag);

CREATE TABLE aliases (
    id INTEGER PRIMARY KEY, session_id INTEGER NOT NULL REFERENCES sessions (id), alias TEXT NOT NULL
);
CREATE INDEX aliases_session ON aliases (session_id);
CREATE INDEX aliases_alias ON aliases (alias);

CREATE TABLE revisions (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, session_id INTEGER REFERENCES sessions (id));

CREATE TABLE notes (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, key TEXT NOT NULL, field TEXT NOT NULL, value TEXT, time TEXT
);
CREATE INDEX notes_key ON notes (key);

CREATE VIRTUAL TABLE messages_fts USING fts5(
    text, reasoning, tool_input, tool_output, cjk,
    content="messages", content_rowid="id", tokenize="unicode61 remove_diacritics 2"
);
CREATE VIRTUAL TABLE sessions_fts USING fts5(
    title, cjk, content="sessions", content_rowid="id", tokenize="unicode61 remove_diacritics 2"
);
"""


@migrations(name="0001_initial")
def initial(db: Database) -> None:
    """Make all tables."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
