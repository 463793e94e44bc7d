"""The mirror: an SQLite index of heads and notes, for search and browsing.

It may be deleted at any time without loss. `rows` turns messages into rows (pure, in worker processes), `writer`
is the only writer, `sync` brings the mirror to what the store says, `health` decides whether it can be trusted,
`language` reads what a person types, `search` answers it, `query` and `stats` list and count.
"""
