"""Add the samples that are missing. Run it after a change of what nodes write, and commit what it adds."""

from service.adapters.redis.wire import SCHEMA
from tests.adapters.redis.samples import file_of, record

added = record()
print(f"{file_of(SCHEMA).name}: {len(added)} added", *added, sep="\n")  # noqa: T201 - a command line
