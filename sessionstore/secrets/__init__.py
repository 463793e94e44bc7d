"""Keys, tokens and passwords in conversations: found, shown masked, replaced.

`detector` finds them in a text, `documents` in a message or any other document, `redact` replaces them, and `check`
looks through sessions. Nothing here writes to the store, and nothing asks a network.
"""
