"""Sessions as a directory of pages that needs no server: readable without JavaScript, searchable with it."""
