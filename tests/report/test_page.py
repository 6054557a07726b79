"""The page around the data: whole without anything else, and nothing in the data can leave its block."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from dask_dispatcher.report.page import embedded, head, is_report
from tests.test_drawing import EVIL

PAYLOADS = {
    **EVIL,
    "end of script": "</script><script>window.pwned = 1</script>",
    "comment": "<!--<script>-->",
    "cdata": "<![CDATA[x]]>",
    "separator": "a\u2028b\u2029c",
    "template": "${window.pwned = 1}{{POLICY}}",
    "quote": '"}]};window.pwned=1;//',
}


class Blocks(HTMLParser):
    """Collects the data of script elements, and counts all tags."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.data = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.data.append(data)


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_no_payload_leaves_its_block(payload):
    block = embedded({payload: [payload]})
    assert block.isascii()
    found = Blocks(block)
    assert found.tags == [("script", {"type": "application/json"})]
    assert json.loads(found.data[0]) == {payload: [payload]}
    inside = block.removeprefix('<script type="application/json">').removesuffix("</script>\n")
    assert not set("<>&\n") & set(inside)


def test_a_number_that_json_has_not_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        embedded([float("nan")])


def test_the_policy_allows_this_script_and_style_and_nothing_else():
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', head())
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["require-trusted-types-for"] == "'script'"
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", head(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


def test_it_asks_for_nothing_from_anywhere():
    found = Blocks(head())
    addresses = [
        value
        for _, attributes in found.tags
        for name, value in attributes.items()
        if name in ("src", "href")
    ]
    assert all(address.startswith("#") for address in addresses)
    assert set(re.findall(r"https?://[\w./]+", head())) == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", head()
    )
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)


def test_a_report_is_known_by_its_head(tmp_path):
    path = tmp_path / "some.html"
    assert not is_report(path)
    path.write_text("<!doctype html><title>mine</title>")
    assert not is_report(path)
    path.write_text(head())
    assert is_report(path)
