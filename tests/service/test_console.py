"""The web console does its work in a real browser."""

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Route, expect

from core.domain.job import JobError, JobState
from core.domain.ports import Outcome
from service.console_files import FOLDER, HEADERS
from tests.servers.chromium import chromium
from tests.servers.daemon import MissingServerError
from tests.service.conftest import listening
from tests.service.console import SENTENCE, Console, edited, learned, seated
from tests.service.harness import Harness

HOSTILE = '<b><img src=x onerror="alert()">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of this module: it holds an event loop, which others must not meet."""
    try:
        with chromium() as running:
            yield running
    except MissingServerError as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture
def address(service: Harness) -> Iterator[str]:
    """The service over real HTTP, with a worker that the test itself is."""
    service.worker()
    with listening(service.ports.settings) as address:
        yield address


@pytest.fixture
def key(service: Harness) -> str:
    """A key of the tenant `acme`."""
    return service.client.headers["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def console(browser: Browser, address: str, key: str) -> Iterator[Console]:
    """Signed in; at the end the browser has had nothing to complain of."""
    with seated(browser, address) as console:
        console.sign_in(key)
        yield console
        assert console.complaints == []


def test_a_picture_is_learned_edited_and_compared(console: Console, service: Harness) -> None:
    console.learn()
    claim = service.claim()
    service.advance(claim, 4)
    service.show(claim, 4)
    expect(console.page.get_by_text("Step 4 of 10, about 6.0 s left")).to_be_visible()
    expect(console.page.get_by_alt_text("What the service can give back so far")).to_be_visible()
    learned(service, claim)
    expect(console.page.get_by_role("button", name="circle")).to_be_visible()
    console.edit("a blue circle on grass")
    edited(service)
    card = console.page.get_by_role("listitem", name="Edit: a blue circle on grass")

    expect(card.get_by_alt_text("Before: a red circle on grass")).to_have_js_property("naturalWidth", 40)
    expect(card.get_by_alt_text("After: a blue circle on grass")).to_have_js_property("naturalWidth", 40)
    expect(card.locator("del")).to_have_text("red")
    expect(card.locator("ins")).to_have_text("blue")
    expect(card.get_by_text("31.2")).to_be_visible()


def test_before_and_after_are_parted_by_the_arrow_keys(console: Console, service: Harness) -> None:
    console.learn()
    learned(service)
    console.edit("a blue circle on grass")
    edited(service)
    slider = console.page.get_by_label("How much of the picture before is shown")
    slider.press("ArrowRight")

    expect(console.page.locator(".compare-stage")).to_have_attribute("style", "--cut: 51%;")


def test_a_word_lights_up_where_it_acts(console: Console, service: Harness) -> None:
    console.learn()
    learned(service)
    word = console.page.get_by_role("button", name="circle")
    heat = console.page.get_by_role("img", name="Where “circle” acts")
    word.click()

    expect(heat).to_be_visible()
    expect(word).to_have_attribute("aria-pressed", "true")
    word.click()
    console.page.mouse.move(0, 0)
    expect(heat).to_be_hidden()


def test_a_job_is_canceled_and_tried_again(console: Console, service: Harness) -> None:
    console.learn()
    console.page.get_by_role("button", name="Cancel").click()
    expect(console.page.get_by_text("The job was canceled").first).to_be_visible()
    console.page.get_by_role("button", name="Try again").click()
    expect(console.page.get_by_text("Next in the queue")).to_be_visible()

    first, second = service.client.get("/jobs").json()["items"][::-1]

    assert (first["state"], second["state"], second["retry_of"]) == ("canceled", "queued", first["id"])


def test_a_job_is_deleted_once_that_is_confirmed(console: Console, service: Harness) -> None:
    console.learn()
    learned(service)
    console.page.get_by_role("button", name="Delete").click()
    console.page.get_by_role("button", name="Keep it").click()
    console.page.get_by_role("button", name="Delete").click()
    console.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(console.page.get_by_role("heading", name="Edit a picture by words")).to_be_visible()

    assert service.client.get("/jobs").json()["items"] == []


def test_text_of_jobs_is_shown_as_text(console: Console, service: Harness) -> None:
    console.learn(HOSTILE)
    error = JobError(code="DIVERGED", detail=HOSTILE, retryable=False)
    service.work(Outcome(state=JobState.FAILED, error=error, warnings=(HOSTILE,)))
    expect(console.page.get_by_text(HOSTILE).nth(2)).to_be_visible()
    service.invert(metadata={"<b>campaign</b>": HOSTILE}, source_prompt=HOSTILE)
    item = {"custom_id": "<i>sku</i>", "inversion_id": service.invert(seed=3)["id"], "target_prompt": HOSTILE}
    service.client.post("/batches", json={"items": [item, {"custom_id": "<u>bad</u>"}], "metadata": {"a": HOSTILE}})
    console.open("jobs")
    expect(console.page.get_by_role("link", name=HOSTILE).first).to_be_visible()
    console.open("batches")
    console.page.get_by_role("link", name=HOSTILE).click()

    expect(console.page.get_by_text("<u>bad</u>")).to_be_visible()
    assert console.page.locator("main script, main img, main b, main i, main u").count() == 0
    assert console.page.title() == "Batch · StyleDiffusion"


def test_jobs_are_filtered_by_state_and_metadata(console: Console, service: Harness) -> None:
    service.invert(source_prompt="a done circle", metadata={"campaign": "spring"})
    service.work()
    service.invert(source_prompt="a queued circle")
    console.open("jobs")
    rows = console.page.locator("tbody tr")
    expect(rows).to_have_count(2)
    console.page.get_by_label("State").select_option("queued")
    expect(rows).to_contain_text(["a queued circle"])
    console.page.get_by_label("State").select_option("")
    console.page.get_by_label("Metadata").fill("campaign=spring")
    console.page.get_by_label("Metadata").press("Enter")

    expect(rows).to_contain_text(["a done circle"])


def test_a_late_answer_to_other_filters_is_not_shown(console: Console, service: Harness) -> None:
    service.invert()
    console.open("jobs")
    rows, state = console.page.locator("tbody tr"), console.page.get_by_label("State")
    expect(rows).to_have_count(1)
    queued, held = re.compile(r"/jobs\?.*state=queued"), list[Route]()
    console.page.route(queued, lambda route: held.append(route))  # noqa: PLW0108 - playwright reads its signature
    with console.page.expect_request(queued):
        state.select_option("queued")
    state.select_option("failed")
    expect(rows).to_have_count(0)
    with console.page.expect_response(queued) as late:
        held[0].continue_()
    late.value.finished()
    console.page.wait_for_timeout(200)  # for what it would do

    assert rows.count() == 0  # now: the next look at the list would mend it


def test_a_list_of_jobs_follows_them(console: Console, service: Harness) -> None:
    service.invert()
    console.open("jobs")
    expect(console.page.locator("tbody .badge")).to_have_text("queued")
    learned(service)

    expect(console.page.locator("tbody .badge")).to_have_text("succeeded")


def test_more_jobs_than_a_page_are_shown_on_demand(console: Console, service: Harness) -> None:
    image = {"id": service.image()}
    for seed in range(31):
        service.invert(image=image, seed=seed)
    console.open("jobs")
    expect(console.page.locator("tbody tr")).to_have_count(30)
    console.page.get_by_role("button", name="Show more").click()

    expect(console.page.locator("tbody tr")).to_have_count(31)
    expect(console.page.get_by_role("button", name="Show more")).to_be_hidden()


def test_a_batch_is_watched_and_stopped(console: Console, service: Harness) -> None:
    inversion = service.invert()["id"]
    learned(service)
    items = [
        {"custom_id": f"sku-{n}", "inversion_id": inversion, "target_prompt": SENTENCE, "seed": n} for n in range(2)
    ]
    service.client.post("/batches", json={"items": [*items, {"custom_id": "bad"}]})
    console.open("batches")
    console.page.get_by_role("link", name="3 items").click()
    expect(console.page.get_by_text("2 queued")).to_be_visible()
    expect(console.page.get_by_role("row", name="bad")).to_contain_text("VALIDATION")
    edited(service)
    expect(console.page.get_by_role("link", name="sku-0")).to_be_visible()
    console.page.get_by_role("button", name="Cancel").click()

    expect(console.page.get_by_text("1 canceled")).to_be_visible()


def test_an_operator_sees_the_queue_and_the_usage(console: Console, service: Harness) -> None:
    service.invert()
    learned(service)
    service.invert(seed=1)
    console.open("operations")
    single = console.page.locator(".card", has=console.page.get_by_role("heading", name="Single jobs"))

    expect(console.page.get_by_text("database ok")).to_be_visible()
    expect(single.locator("div", has_text="Queued").locator("dd").first).to_have_text("1")
    expect(console.page.get_by_role("region", name="Usage of the last 30 days")).to_contain_text("Jobs computed")


def test_parameters_by_hand_are_those_that_differ(console: Console, service: Harness) -> None:
    console.page.get_by_text("My own").click()
    console.page.get_by_label("Method", exact=True).select_option("null_text")
    console.page.get_by_label("timesteps").fill("7")
    console.learn()

    (job,) = service.client.get("/jobs").json()["items"]

    assert (job["method"], job["parameters"]["timesteps"]) == ("null_text", 7)
    assert job["parameters"]["inner_steps"] == 10


def test_a_word_the_model_has_never_seen_is_told_before_it_is_sent(console: Console) -> None:
    console.page.get_by_label("What does the picture show?").fill("a red walrus")

    expect(console.page.get_by_text("has never seen “walrus”")).to_be_visible()


def test_a_refusal_is_told(console: Console) -> None:
    console.page.get_by_label("What does the picture show?").fill(SENTENCE)
    console.page.get_by_role("button", name="Learn this picture").click()

    expect(console.page.get_by_role("alert").filter(has_text="A picture is missing")).to_be_visible()


def test_a_key_stays_until_the_tab_is_closed_or_signed_out(console: Console) -> None:
    console.page.reload()
    expect(console.page.get_by_role("heading", name="Edit a picture by words")).to_be_visible()
    fresh = console.page.context.new_page()
    fresh.goto(console.address)
    expect(fresh.get_by_label("API key")).to_be_visible()
    console.page.get_by_role("button", name="Sign out").click()
    console.page.reload()

    expect(console.page.get_by_label("API key")).to_be_visible()
    assert console.page.evaluate("JSON.stringify([sessionStorage, localStorage])") == "[{},{}]"


def test_a_wrong_key_is_refused(browser: Browser, address: str) -> None:
    with seated(browser, address) as console:
        console.page.goto(address)
        console.page.get_by_label("API key").fill("sk_wrong")
        console.page.get_by_role("button", name="Sign in").click()

        expect(console.page.get_by_role("alert")).to_contain_text("key")
        expect(console.page.get_by_label("API key")).to_be_focused()


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_every_view_can_be_used_by_everybody(
    browser: Browser, service: Harness, *, address: str, key: str, scheme: str, width: int
) -> None:
    service.invert()
    inversion = learned(service)
    service.edit(inversion_id=inversion)
    edit = edited(service)
    item = {"custom_id": "a", "inversion_id": inversion, "target_prompt": SENTENCE}
    batch = service.client.post("/batches", json={"items": [item, {}]}).json()["id"]
    views = ["", f"pictures/{inversion}", "jobs", f"jobs/{edit}", "batches", f"batches/{batch}", "operations"]
    found, wide = {}, []
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "bypass_csp": True}
    with seated(browser, address, **options) as console:
        console.sign_in(key)
        for view in views:
            console.open(view)
            console.page.wait_for_load_state("networkidle")
            found[view] = [fault["id"] for fault in Axe().run(console.page).response["violations"]]
            if console.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wide.append(view)

    assert found == {view: [] for view in views}
    assert wide == []


def test_the_whole_way_can_be_gone_by_keys(console: Console, service: Harness) -> None:
    page = console.page
    page.get_by_label("What does the picture show?").focus()
    page.keyboard.type(SENTENCE)
    page.get_by_role("radio", name="Standard").focus()
    page.keyboard.press("ArrowRight")

    expect(page.get_by_role("radio", name="Quick")).to_be_checked()
    page.get_by_role("button", name="No picture at hand?").press("Enter")
    expect(page.get_by_role("img", name="Your picture")).to_be_visible()
    page.get_by_role("button", name="Learn this picture").press("Enter")
    expect(page.get_by_role("form", name="A new edit")).to_be_visible()
    assert service.client.get("/jobs").json()["items"][0]["parameters"]["timesteps"] == 10


def test_the_page_and_its_files_carry_the_policy(service: Harness) -> None:
    paths = ["/", *(f"/console/{file.relative_to(FOLDER)}" for file in FOLDER.rglob("*.*"))]
    answers = [service.client.get(path) for path in paths]

    assert {answer.status_code for answer in answers} == {200}
    for answer in answers:
        assert HEADERS.items() <= {name.title(): value for name, value in answer.headers.items()}.items()


def test_nothing_beside_the_files_is_served(service: Harness) -> None:
    for path in ("/console/", "/console/nothing.js", "/console/..%2fapp.py", "/console/../app.py"):
        assert service.client.get(path).status_code == 404
