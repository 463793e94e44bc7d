"""The program with sessions in its store, as the tests of the command line have it."""

from tests.cli.conftest import imported as imported
from tests.cli.conftest import program as program
from tests.cli.conftest import shared as shared
