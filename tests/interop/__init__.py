"""The server as clients written for the original meet it."""

import pytest

pytest.register_assert_rewrite("tests.interop.js_client", "tests.interop.script", "tests.interop.raw_client")
