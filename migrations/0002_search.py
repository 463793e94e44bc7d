"""Step 2: what programs put in apart from what was said, files touched, and views for people who ask in SQL.

The words of a message are counted anew, so an index of step 1 is not upgraded but made again from the store.
The comments in the statements are the documentation: `docs/index.md` is written from them.
"""

from __future__ import annotations

from sqlite_utils import Migrations
from sqlite_utils.db import Database

migrations = Migrations("sessionstore-index")

SCHEMA = """
DROP TABLE messages_fts;
DROP INDEX messages_facts;
DROP TABLE messages;
CREATE TABLE messages ( -- one row for each message; its text by what it is
    id INTEGER PRIMARY KEY, -- session_id * 16777216 + seq
    session_id INTEGER NOT NULL REFERENCES sessions (id),
    seq INTEGER NOT NULL, -- ordinal in the session, from 0
    message_id TEXT NOT NULL, -- the message's own id; KEY#ID is its link
    role TEXT NOT NULL, -- system, user, assistant or tool
    kind TEXT, -- null for ordinary turns; meta, context, compaction, sidechain, prefill, switch, error
    time TEXT, -- in UTC where the source states an offset
    model TEXT,
    tools TEXT, -- JSON list of the names of the tools called
    errors INTEGER, -- tool results that are errors
    images INTEGER,
    input_tokens INTEGER, -- includes cache reads and writes
    output_tokens INTEGER, -- includes reasoning
    cache_read_tokens INTEGER,
    cache_write_tokens INTEGER,
    reasoning_tokens INTEGER,
    cost_microusd INTEGER, -- millionths of a US dollar
    same INTEGER NOT NULL, -- equal for messages that say the same
    digest INTEGER NOT NULL, -- of the whole row
    text TEXT, -- what was said
    reasoning TEXT, -- what the model thought
    tool_input TEXT, -- names and arguments of tools
    tool_output TEXT, -- what tools gave back
    context TEXT, -- what the program put in by itself: reminders, instruction files, its own records
    cjk TEXT -- words of scripts without spaces, character by character
);
CREATE INDEX messages_facts ON messages (
    session_id, seq, role, kind, time, model, errors, images,
    input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_microusd, same
);
CREATE VIRTUAL TABLE messages_fts USING fts5(
    text, reasoning, tool_input, tool_output, context, cjk,
    content="messages", content_rowid="id", tokenize="unicode61 remove_diacritics 2"
);
CREATE VIRTUAL TABLE words USING fts5vocab(messages_fts, 'row');

CREATE TABLE files_touched ( -- paths in the arguments of tool calls, patches included
    id INTEGER PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id),
    message_id INTEGER NOT NULL REFERENCES messages (id), -- the message that calls the tool
    path TEXT NOT NULL, -- as the call has it
    action TEXT NOT NULL -- read, write, edit, delete, search, or empty when the tool's name does not tell
);
CREATE INDEX files_touched_session ON files_touched (session_id, message_id);
CREATE INDEX files_touched_path ON files_touched (path);

CREATE VIEW conversations AS -- every message with its session, in order of reading
SELECT s.key, s.title, s.source, s.project, m.seq, m.role, m.kind, m.time, m.model, m.tools,
    m.text, m.reasoning, m.tool_input, m.tool_output, s.key || '#' || m.message_id AS link
FROM sessions s JOIN messages m ON m.session_id = s.id
ORDER BY s.id, m.seq;

CREATE VIEW recent AS -- sessions, the latest first
SELECT key, title, source, project, models, sorted_at AS time, messages,
    input_tokens, output_tokens, cost_microusd / 1e6 AS usd
FROM sessions ORDER BY sorted_at DESC, id DESC;

CREATE VIEW tool_errors AS -- tool calls that failed, the latest first
SELECT m.time, t.name AS tool, s.key, s.project, m.tool_output AS error, s.key || '#' || m.message_id AS link
FROM tool_calls t JOIN messages m ON m.id = t.result_id JOIN sessions s ON s.id = t.session_id
WHERE t.is_error = 1
ORDER BY coalesce(m.time, s.sorted_at) DESC, m.id DESC;

CREATE VIEW usage_by_day AS -- tokens and cost by day and model; a fork repeats what it took over
SELECT substr(coalesce(m.time, s.sorted_at), 1, 10) AS day, coalesce(m.model, 'unknown') AS model,
    count(*) AS answers, sum(m.input_tokens) AS input_tokens, sum(m.output_tokens) AS output_tokens,
    sum(m.cache_read_tokens) AS cache_read_tokens, sum(m.cache_write_tokens) AS cache_write_tokens,
    sum(m.reasoning_tokens) AS reasoning_tokens, sum(m.cost_microusd) / 1e6 AS usd
FROM messages m JOIN sessions s ON s.id = m.session_id
WHERE m.input_tokens IS NOT NULL OR m.output_tokens IS NOT NULL OR m.cost_microusd IS NOT NULL
GROUP BY 1, 2 ORDER BY 1 DESC, 2;
"""


@migrations(name="0002_search")
def search(db: Database) -> None:
    """Make the tables and views."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
