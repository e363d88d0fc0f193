"""What all the tests together have shown. They run last."""

import anthropic
import pytest

from tests.schema.checker import CHECKER, WHOLE_RUN, declared

SDK = tuple(int(number) for number in anthropic.__version__.split(".")[:2])


@pytest.mark.skipif(SDK < (1, 14), reason="this SDK's client knows of no conversation")
def test_the_whole_schema_has_been_emitted(request: pytest.FixtureRequest) -> None:
    """There is no entry of the schema that no test has made streamspan emit."""
    if not request.config.stash[WHOLE_RUN] or request.session.testsfailed:
        pytest.skip("only a run of all tests, without a failure, shows all of the schema")

    assert sorted(declared() - CHECKER.seen) == []
