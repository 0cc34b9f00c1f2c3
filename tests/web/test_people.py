"""People in the browser: an account from adding to locking, an institute, why somebody may not."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

expect.set_options(timeout=30_000)  # on a busy machine


def test_a_person_is_added_put_into_an_institute_and_locked(page: Any) -> None:
    page.goto("/people?tab=institutes")
    page.get_by_role("button", name="Add institute").first.click()
    page.get_by_role("dialog").get_by_label("Institute").fill("Radiology West")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    card = page.get_by_role("region", name="Radiology West")
    card.get_by_role("button", name="Add source").click()
    page.get_by_role("dialog").get_by_label("Pattern").fill("WEST_*")
    page.get_by_role("dialog").get_by_role("button", name="Add source").click()
    expect(card).to_contain_text("WEST_*")

    page.goto("/people")
    page.get_by_role("button", name="Add person").click()
    form = page.get_by_role("dialog")
    form.get_by_label("User name").fill("jane")
    form.get_by_label("First name").fill("Jane")
    form.get_by_label("Last name").fill("<i>Doe</i>")
    form.get_by_role("button", name="Add person").click()
    detail = page.get_by_role("complementary", name="jane")
    expect(detail.get_by_role("heading", name="Jane <i>Doe</i>")).to_be_visible()
    detail.get_by_role("button", name="Add to an institute").click()
    page.get_by_role("dialog").get_by_label("Institute").click()
    page.get_by_role("option", name="Radiology West").click()
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(detail).to_contain_text("Radiology West")
    detail.get_by_role("button", name="Lock", exact=True).click()
    page.get_by_role("dialog").get_by_label("Reason").fill("left the house")
    page.get_by_role("dialog").get_by_role("button", name="Lock").click()
    expect(detail).to_contain_text("left the house")
    page.goto("/people?state=locked")
    expect(page.get_by_role("row").filter(has_text="jane")).to_contain_text("Locked")


def test_why_somebody_may_not(page: Any) -> None:
    page.goto("/people?tab=explain&who=viewer&action=studies.download")
    answer = page.get_by_role("status").filter(has_text="may not")
    expect(answer).to_contain_text("the role viewer does not include studies.download")
    expect(answer).to_contain_text("Operator")
    page.goto("/people?tab=roles")
    page.get_by_label("Search actions").fill("studies.down")
    expect(page.get_by_role("row").filter(has_text="studies.download").get_by_label("yes")).to_have_count(3)


def test_sessions_and_tokens_of_everybody(page: Any, gantry: Any) -> None:
    gantry.cli("token", "create", "--user", "viewer", "--name", "nightly report")
    page.goto("/people?tab=tokens")
    row = page.get_by_role("row").filter(has_text="nightly report")
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    page.goto("/people?tab=sessions")
    expect(page.get_by_role("row").filter(has_text="operator").first).to_be_visible()
