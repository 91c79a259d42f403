"""The server as clients written for the original meet it."""

import pytest

HELPERS = ("client", "js_client", "raw_client", "script", "stage")

pytest.register_assert_rewrite(*(f"{__name__}.{helper}" for helper in HELPERS))
