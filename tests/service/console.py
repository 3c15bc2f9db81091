"""The web console in a real browser, and the one who sits before it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, final

from playwright.sync_api import Browser, ConsoleMessage, Page

from core.domain.job import JobState
from core.domain.ports import Claim, Outcome
from tests.service.harness import Harness, png

WORDS = ["a", "red", "circle", "on", "grass"]
SENTENCE = " ".join(WORDS)


@final
@dataclass(frozen=True, slots=True)
class Console:
    """One page, and what the browser complained of."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def sign_in(self, key: str) -> None:
        """From the first page to the view of pictures."""
        self.page.goto(self.address)
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Edit a picture by words").wait_for()

    def open(self, view: str) -> None:
        """Another view of the same page."""
        self.page.goto(f"{self.address}/#/{view}")

    def learn(self, sentence: str = SENTENCE) -> None:
        """A picture is chosen, described and sent; its editor opens."""
        picture = {"name": "scene.png", "mimeType": "image/png", "buffer": png()}
        self.page.get_by_label("Drop a picture here").set_input_files(files=picture)  # type: ignore[arg-type]
        self.page.get_by_label("What does the picture show?").fill(sentence)
        self.page.get_by_role("button", name="Learn this picture").click()
        self.page.get_by_role("form", name="A new edit").wait_for()

    def edit(self, sentence: str) -> None:
        """Another sentence is sent."""
        self.page.get_by_label("What should it show instead?").fill(sentence)
        self.page.get_by_role("button", name="Edit", exact=True).click()
        self.page.get_by_role("listitem", name=f"Edit: {sentence}").wait_for()


@contextmanager
def seated(browser: Browser, address: str, **options: Any) -> Iterator[Console]:
    """A console in a browser's window of its own."""
    context = browser.new_context(**options)
    console = Console(context.new_page(), address)

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            console.complaints.append(message.text)

    console.page.on("console", hear)
    console.page.on("pageerror", lambda error: console.complaints.append(str(error)))
    console.page.set_default_timeout(15_000)
    yield console
    context.close()


def learned(service: Harness, claim: Claim | None = None) -> str:
    """The next inversion succeeds with what a real one leaves; its id."""
    claim = claim or service.claim()
    names = ("reconstruction", "attention", "inversion")
    files = tuple(service.artifact(claim, name=name) for name in names)
    result = {"quality": {"psnr": 33.3, "ssim": 0.97}, "words": WORDS}
    service.finish(claim, Outcome(state=JobState.SUCCEEDED, result=result, artifacts=files))
    return claim.job.id


def edited(service: Harness, claim: Claim | None = None) -> str:
    """The next edit succeeds with what a real one leaves; its id."""
    claim = claim or service.claim()
    files = tuple(service.artifact(claim, name=name) for name in ("image", "mask"))
    result = {"quality": {"clip_score": 31.2, "background_psnr": 30.0}}
    service.finish(claim, Outcome(state=JobState.SUCCEEDED, result=result, artifacts=files))
    return claim.job.id
