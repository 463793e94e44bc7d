"""The store as an MCP server, for models: search, list, read, find similar; and only when asked for, write and
talk with other models.

    models      what the tools give back, typed
    desk        running a question beside the protocol: cancellation, time limit, errors in one line
    reading     the tools that read
    writing     the tools that append and annotate
    talking     how a turn with a model runs: progress, cancellation
    chatting    the tools that talk with other models
    prompts     requests that a person can pick
    resources   sessions as resources session://…
    server      the server made of these; a further set of tools is one entry in its `TOOLSETS`
    http        the streamable HTTP transport: loopback, host check, token
    clients     the configuration that common clients need

Needs the official SDK (extra `mcp`); nothing else imports this package but the command that starts it.
"""
