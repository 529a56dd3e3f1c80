import pytest

pytest.register_assert_rewrite("nipo_auth_mw.testing.contracts", "tests.contract.sql_suites")
