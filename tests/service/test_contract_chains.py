"""Requests that go on with what an answer gave, along the links of the OpenAPI document, meet nothing undeclared."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.service.chains import LINKS, Walk
from tests.service.conftest import listening, serve
from tests.service.contracts import UNHINDERED

CHAINS = int(os.environ.get("CONTRACT_CHAINS", "1"))  # from each operation

# The service runs beside, in threads of this process that draw random numbers while examples are drawn.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """A service over real HTTP."""
    for service in serve(UNHINDERED.model_copy(update={"data_dir": tmp_path_factory.mktemp("chains")})):
        with listening(service.ports.settings) as address:
            service.worker(lease_seconds=3600)
            yield Walk(service, address)


@pytest.mark.parametrize("source", sorted({link.source for link in LINKS}))
def test_every_link_leads_on_and_every_answer_is_declared(walk: Walk, source: str) -> None:
    @settings(
        max_examples=CHAINS,
        deadline=None,
        database=None,
        derandomize=True,  # what is followed here is followed everywhere
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def follow(data: st.DataObject) -> None:
        walk.follow(source, data)

    follow()

    assert {link for link in LINKS if link.source == source} <= {link for link, times in walk.followed.items() if times}
