"""The menus that narrow the list of studies: their lines keep their places while they are counted."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.web.test_studies import rows


def test_the_lines_of_a_menu_keep_their_places_while_counts_arrive(page: Any) -> None:
    from playwright.sync_api import expect

    page.goto("/studies")
    expect(rows(page).nth(5)).to_be_visible()
    button = page.get_by_role("button", name="Modality", exact=True)
    expect(button).to_be_visible()
    held: list[Any] = []

    def hold(route: Any) -> None:
        if parse_qs(urlsplit(route.request.url).query).get("facet") == ["modality"]:
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/v1/study-facets?*", hold)
    page.get_by_label(re.compile("Search studies")).fill("ct")
    expect(page.get_by_text(re.compile(r"^[0-9]+ studies$")).first).to_be_visible()
    with page.expect_request(re.compile("facet=modality")):
        button.click()
    lines = page.get_by_role("menuitemcheckbox")
    ct = page.get_by_role("menuitemcheckbox", name=re.compile("^CT"))
    expect(ct).to_be_visible()
    expect(ct).to_have_text("CT")  # not counted yet
    before = {line.inner_text().split()[0]: line.bounding_box() for line in lines.all()}
    assert len(before) >= 2
    while held:
        route = held.pop()
        answer = route.fetch()
        body = answer.json()
        (facet,) = body["facets"]
        assert facet["name"] == "modality"
        facet["values"] = [{"value": "ZZ", "count": 9999}, *reversed(facet["values"])]
        route.fulfill(response=answer, json=body)
    expect(ct).to_have_text(re.compile(r"CT\s*[1-9]"))
    expect(lines).to_have_count(len(before) + 1)
    after = {line.inner_text().split()[0]: line.bounding_box() for line in lines.all()}
    assert {name: after[name] for name in before} == before
    assert max(after, key=lambda name: after[name]["y"]) == "ZZ"
    # What is chosen stays where it stands, too.
    ct.click()
    expect(ct).to_be_checked()
    assert ct.bounding_box() == before["CT"]
    page.unroute("**/api/v1/study-facets?*")
