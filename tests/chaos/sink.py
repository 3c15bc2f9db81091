"""Where webhooks go: it checks every signature at once, and refuses the first try of some deliveries."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import final

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.chaos.ledger import Ledger
from tests.servers.site import Asked, Page, Site, site

_REFUSES_ONE_OF = 5


@final
class Sink:
    """Counts each delivery's tries and the answers that accept it, and remembers those that were signed wrongly."""

    def __init__(self, ledger: Ledger, served: Site | None = None) -> None:
        self._ledger = ledger
        self._site = served
        self.told: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.forged: list[str] = []
        self.refused = 0

    def address(self, tenant: str) -> str:
        """The URL that a tenant's jobs name."""
        assert self._site is not None
        path = f"/{tenant}"
        self._site.pages[path] = partial(self.answer, tenant)
        return self._site.url(path)

    def answer(self, tenant: str, asked: Asked) -> Page:
        """What one try is answered."""
        headers = {name.lower(): value for name, value in asked.headers.items()}
        name = headers.get("webhook-id", "")
        try:
            Webhook(self._ledger.secrets[tenant]).verify(asked.body, headers)
        except WebhookVerificationError:
            self.forged.append(name)
            return Page(status=400)
        self.told[name] += 1
        if self.told[name] == 1 and sum(name.encode()) % _REFUSES_ONE_OF == 0:
            self.refused += 1
            return Page(status=500)
        self.accepted[name] += 1
        return Page(status=204)


@contextmanager
def sink(ledger: Ledger) -> Iterator[Sink]:
    """One that listens."""
    with site() as served:
        yield Sink(ledger, served)
