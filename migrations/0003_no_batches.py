"""Step 3: without the table `batches`, in which nothing ever was.

What migrations did is in their journals, and `sessionstore batches` reads those.
"""

from __future__ import annotations

from sqlite_utils import Migrations
from sqlite_utils.db import Database

migrations = Migrations("sessionstore-index")


SCHEMA = """
DROP TABLE IF EXISTS batches;
"""


@migrations(name="0003_no_batches")
def no_batches(db: Database) -> None:
    """Remove the table."""
    db.execute(SCHEMA)
