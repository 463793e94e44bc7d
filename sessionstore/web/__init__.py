"""Reading conversations in a browser: a Datasette plugin with pages of its own.

It reads the index (searching, lists, facets) and the store (what was said) and writes nothing. Whatever a conversation
holds is foreign: it is escaped or sanitised, limited in size, and never executed; no page asks for anything that does
not come from this server. Pages work without JavaScript; the one small script adds keys, copying and live messages.
"""
