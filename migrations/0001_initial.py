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
CREATE TABLE meta ( -- the index's own figures: store id, digest, counters
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    value
);

CREATE TABLE sources ( -- the formats that sessions came from
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, importer TEXT, importer_version INTEGER
);

CREATE TABLE batches ( -- reserved
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, started_at TEXT, finished_at TEXT, state TEXT,
    sessions INTEGER, messages INTEGER
);

CREATE TABLE sessions ( -- one row for each head of a session
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL, -- SOURCE:NATIVE_ID
    source TEXT NOT NULL, -- the format
    native_id TEXT, -- the id its program gave it
    revision TEXT NOT NULL, -- the file below sessions/ in the store
    title TEXT, -- the user's, else the source's
    source_title TEXT,
    cjk TEXT, -- the title in scripts without spaces, character by character
    project TEXT,
    cwd TEXT, -- the directory it was begun in
    branch TEXT, -- the git branch
    git_commit TEXT,
    remote TEXT, -- the git remote
    models TEXT, -- JSON list of names
    created_at TEXT, -- in UTC where the source states an offset
    updated_at TEXT,
    sorted_at TEXT NOT NULL, -- the last known time, empty when there is none
    messages INTEGER NOT NULL, -- how many
    user_messages INTEGER,
    assistant_messages INTEGER,
    tool_messages INTEGER,
    system_messages INTEGER,
    bytes INTEGER, -- of its messages
    input_tokens INTEGER, -- includes cache reads and writes
    output_tokens INTEGER, -- includes reasoning
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    reasoning_tokens INTEGER,
    cost_microusd INTEGER, -- millionths of a US dollar
    estimated INTEGER, -- 1 when some of it was not billed by the source
    forked_from TEXT, -- the key of the session it began as a copy of
    relation TEXT, -- fork, subagent or resume
    issues TEXT, -- JSON list of what its source had lost
    starred INTEGER NOT NULL DEFAULT 0,
    archived INTEGER NOT NULL DEFAULT 0,
    paged INTEGER NOT NULL, -- messages in closed pages
    pages TEXT NOT NULL, -- digest of the names of those pages
    content INTEGER NOT NULL, -- sum of the digests of its messages
    digest INTEGER NOT NULL, -- of the whole row, its tags and aliases
    change_seq INTEGER NOT NULL -- number of the change that made this row; grows
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

CREATE TABLE tool_calls ( -- calls of tools, each with its result
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id),
    message_id INTEGER NOT NULL REFERENCES messages (id),
    call_id TEXT, -- the source's id of the call
    name TEXT NOT NULL, -- of the tool
    result_id INTEGER REFERENCES messages (id), -- the message with the result, null when there is none
    is_error INTEGER -- 1 when it failed, 0 when not, null without a result
);
CREATE INDEX tool_calls_session ON tool_calls (session_id);
CREATE INDEX tool_calls_name ON tool_calls (name);

CREATE TABLE tags ( -- the user's tags in force
    id INTEGER PRIMARY KEY, session_id INTEGER NOT NULL REFERENCES sessions (id), tag TEXT NOT NULL
);
CREATE INDEX tags_session ON tags (session_id);
CREATE INDEX tags_tag ON tags (tag);

CREATE TABLE aliases ( -- other ids a session had
    id INTEGER PRIMARY KEY, session_id INTEGER NOT NULL REFERENCES sessions (id), alias TEXT NOT NULL
);
CREATE INDEX aliases_session ON aliases (session_id);
CREATE INDEX aliases_alias ON aliases (alias);

CREATE TABLE revisions ( -- every revision in the store; session_id is null for those that are not shown
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, session_id INTEGER REFERENCES sessions (id)
);

CREATE TABLE notes ( -- the files below notes/ in the store; value is JSON
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
