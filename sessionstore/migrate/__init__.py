"""Migration: legacy files become sessions, in batches that can be resumed and rolled back.

    detect → plan → read → store → verify → commit (→ retire)

`finding` walks and detects, `reading` opens a file, `intake` turns one source into stored objects and uncommitted
sessions, `decide` says how they relate to what the store has, `commit` makes a group of them durable with its journal
lines, `workers` does that in several processes, `run` is the whole batch, `rollback` its undoing, `originals` gives
files back.
"""
