"""Gemini Apps in Google Takeout: JSON, HTML and zip files of both."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sessionstore.importers.base import Draft, Message
from sessionstore.importers.gemini_takeout import GeminiTakeout
from sessionstore.importers.gemini_takeout_html import local_time, plain
from sessionstore.importers.parsing import Unparsable
from tests.importers.support import FORMATS, Imported, imported, recognised, roles, text

FIXTURES = FORMATS / "gemini-takeout"
IMPORTER = GeminiTakeout()
CELL = (
    '<div class="outer-cell mdl-cell"><div class="mdl-grid"><div class="header-cell">'
    '<p class="mdl-typography--title">Gemini Apps<br></p></div><div class="content-cell mdl-typography--body-1">'
)


def activity(title: Any = "Prompted Hello", *answers: str, **fields: Any) -> dict[str, Any]:
    """An activity."""
    made = {"header": "Gemini Apps", "title": title, "time": "2026-05-01T09:00:00.123Z", "products": ["Gemini Apps"]}
    return made | ({"safeHtmlItem": [{"html": answer} for answer in answers]} if answers else {}) | fields


def read(*activities: Any) -> Imported:
    """Read a list of activities."""
    return imported(IMPORTER, json.dumps(list(activities)).encode(), "MyActivity.json", {})


def one(*activities: Any) -> tuple[Draft, list[Message]]:
    """The only session of a list of activities."""
    return read(*activities).one()


def page(*cells: str) -> Imported:
    """Read a page of cells, each the inside of the first content cell."""
    made = "".join(f"{CELL}{cell}</div></div></div>" for cell in cells)
    return imported(IMPORTER, f"<html><body>{made}</body></html>".encode(), "MyActivity.html", {})


@pytest.mark.parametrize(
    "name", ["MyActivity.json", "MyActivity.html", "takeout.zip", "takeout-ja.zip", "takeout-html.zip"]
)
def test_all_forms_are_recognised_by_what_is_in_them(name: str) -> None:
    assert recognised(IMPORTER, FIXTURES / name)


@pytest.mark.parametrize(
    "data",
    [
        b'[{"header": "Search", "title": "Searched for gemini", "time": "2026-05-01T09:00:00Z"}]',
        b'[{"header": "Gemini Apps"}]',
        b'{"title": "x", "time": "y"}',
        b"<html><body>Gemini Apps</body></html>",
        b'<html><style>.mdl-grid{}</style><p class="mdl-typography--title">YouTube<br></p> gemini</html>',
        b"[]",
    ],
)
def test_other_activities_and_pages_are_not_recognised(data: bytes) -> None:
    assert not recognised(IMPORTER, data)


def test_a_zip_file_of_other_products_is_not_recognised(tmp_path: Path) -> None:
    other = tmp_path / "takeout.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("Takeout/My Activity/Search/MyActivity.json", json.dumps([activity()]))
    assert not recognised(IMPORTER, other)


def test_every_prompt_is_a_session_of_its_own() -> None:
    found = imported(IMPORTER, FIXTURES / "MyActivity.json")
    assert found.counts == (5, 4, 1, 0)
    assert [draft.title for draft in found.source.drafts] == [
        "Used Gemini Apps",
        "What is in the picture?",
        "Two names, please",
        "And nobody answered",
        "Bäckereien in der Nähe",
    ]
    assert [roles(messages) for messages in found.sessions.values()] == [
        ["system"],
        ["user", "assistant"],
        ["user", "assistant", "assistant"],
        ["user"],
        ["user", "assistant"],
    ]


def test_a_prompt_and_its_answer_keep_what_they_were_made_from() -> None:
    html = "<p>Hi &amp; bye</p>"
    draft, messages = one(activity("Prompted Hello\nworld", html, details=[{"url": "https://gemini.google.com/app/1"}]))
    assert messages == [
        {
            "id": "m1",
            "role": "user",
            "time": "2026-05-01T09:00:00.123Z",
            "parts": [{"type": "text", "content": "Hello\nworld"}],
            "x": {
                "header": "Gemini Apps",
                "title": "Prompted Hello\nworld",
                "products": ["Gemini Apps"],
                "details": [{"url": "https://gemini.google.com/app/1"}],
            },
        },
        {"id": "m2", "role": "assistant", "parts": [{"type": "text", "content": "Hi & bye", "html": html}]},
    ]
    assert draft.title == "Hello" and not draft.issues


def test_answers_that_were_generated_again_all_answer_the_prompt() -> None:
    messages = one(activity("Prompted Names", "<p>a</p>", "<p>b</p>", "<p>c</p>"))[1]
    assert [message.get("parent") for message in messages] == [None, None, "m1", "m1"]


def test_a_prompt_in_another_language_is_known_by_its_answer() -> None:
    messages = one(activity("Frage: Brot?", "<p>Ja</p>"))[1]
    assert text(messages[0]) == "Frage: Brot?" and "title" not in messages[0]["x"]


def test_a_prompt_without_an_answer_is_reported() -> None:
    draft, messages = one(activity("Prompted Hello"))
    assert list(draft.issues) == ["answer-missing"] and roles(messages) == ["user"]


def test_what_is_no_prompt_is_kept_as_it_stands() -> None:
    made = activity("Created Gemini Canvas titled Bread", subtitles=[{"name": "# Bread"}])
    draft, messages = one(made)
    assert messages[0]["kind"] == "meta" and messages[0]["parts"] == [{"type": "record", "record": made}]
    assert messages[0]["time"] == made["time"] and draft.title == "Created Gemini Canvas titled Bread"


def test_a_later_export_finds_the_same_sessions() -> None:
    old = [activity("Prompted A", "<p>a</p>"), activity("Prompted B", "<p>b</p>", time="2026-04-01T00:00:00Z")]
    new = [activity("Prompted C", "<p>c</p>", time="2026-06-01T00:00:00Z"), *old]
    before, after = read(*old).sessions, read(*new).sessions
    assert len(after) == 3 and {name: after[name] for name in before} == before


def test_the_same_activity_twice_is_one_session_and_two_of_one_moment_are_two() -> None:
    found = read(activity("Prompted A"), activity("Prompted A"), activity("Prompted A", "<p>a</p>"))
    assert found.counts == (3, 3, 0, 0)
    first, second = found.drafts
    assert second == f"{first}~2"


def test_attachments_come_from_the_zip_file() -> None:
    found = imported(IMPORTER, FIXTURES / "takeout.zip")
    parts = list(found.sessions.values())[1][0]["parts"]
    assert [(part["type"], part.get("name")) for part in parts] == [
        ("text", None),
        ("blob", "loaf.png"),
        ("file", "lost.pdf"),
    ]
    assert parts[1]["mime_type"] == "image/png"
    assert found.source.drafts[1].issues["asset-missing"][0] == 1
    html = imported(IMPORTER, FIXTURES / "takeout-html.zip")
    assert [part["type"] for part in list(html.sessions.values())[1][0]["parts"]] == ["text", "blob"]


def test_only_the_activities_of_the_product_are_read_from_a_zip_file() -> None:
    found = imported(IMPORTER, FIXTURES / "takeout.zip")
    assert "Searched for" not in json.dumps(list(found.sessions.values()))
    assert list(found.drafts) == list(imported(IMPORTER, FIXTURES / "MyActivity.json").drafts)


def test_a_page_tells_prompt_time_and_answer_apart() -> None:
    found = imported(IMPORTER, FIXTURES / "MyActivity.html")
    assert found.counts == (4, 3, 1, 0) and not found.source.file_issues
    first, second, third, fourth = found.sessions.values()
    assert text(first[0]) == "What is 1 < 2?" and first[0]["time"] == "2026-05-02T09:00:00Z"
    assert first[1]["parts"] == [
        {
            "type": "text",
            "content": "True, always.\n\nAnd\nso on",
            "html": "<p>True, <b>always</b>.</p><div>And<br>so on</div>",
        }
    ]
    assert second[0]["x"]["time"] == {"raw": "2026-02-02T16:24:02", "precision": "s", "zone": "unknown"}
    assert second[0]["x"]["shown_time"] == "Feb 2, 2026, 4:24:02\u202fPM JST" and "time" not in second[0]
    assert third[0]["x"]["shown_time"] == "02.05.2026, 16:24:02 MESZ" and "time" not in third[0]["x"]
    assert fourth[0]["kind"] == "meta"


def test_a_prompt_of_several_lines_stays_whole() -> None:
    messages = page("Prompted one<br>two<br><br>three<br>May 1, 2026, 12:00:00 AM UTC<br><p>x</p>").one()[1]
    assert text(messages[0]) == "one\ntwo\n\nthree" and messages[0]["time"] == "2026-05-01T00:00:00Z"


def test_a_page_that_is_cut_off_is_read_and_reported() -> None:
    data = (FIXTURES / "MyActivity.html").read_bytes()
    found = imported(IMPORTER, data[: data.index(b"Frage nach")], "MyActivity.html", {})
    assert found.source.file_issues["page-cut-off"][0] == 1 and len(found.drafts) == 3
    with pytest.raises(Unparsable, match="no activity"):
        imported(IMPORTER, data[:2000], "MyActivity.html", {})


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<!--", "&", "<div>", "</", "<a href='", "<br>", "<?", "<a \"'", "&#x", "src="]
)
def test_markup_that_never_ends_costs_no_more_than_other(piece: str) -> None:
    started = time.monotonic()
    page("Prompted x<br>May 1, 2026, 12:00:00 AM UTC<br>" + piece * (300_000 // len(piece)))
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<style>x{}</style>a<script>b()</script>c", "ac"),
        ("a <b>b</b>\n  c &lt;d&gt; &#8212;", "a b c <d> —"),
        ("<!-- no -->a<!-- <p>b</p> -->c", "ac"),
        ("<table><tr><td>1</td><td>2</td></tr></table>", "1\t2"),
        ("1 < 2 > 0 <", "1 < 2 > 0 <"),
        ("", ""),
    ],
)
def test_html_is_shown_as_a_person_reads_it(html: str, shown: str) -> None:
    assert plain(html) == shown


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ("May 2, 2026, 9:00:00\u202fAM UTC", ("2026-05-02T09:00:00", True)),
        ("Dec 31, 2025, 12:30:05 PM PST", ("2025-12-31T12:30:05", False)),
        ("Feb 30, 2026, 1:00:00 AM UTC", None),
        ("02.05.2026, 16:24:02 MESZ", None),
        ("", None),
    ],
)
def test_only_english_times_are_understood(shown: str, found: Any) -> None:
    assert local_time(shown) == found


@pytest.mark.parametrize("title", [None, 5, "", [], {}])
def test_an_activity_without_a_title_is_kept(title: Any) -> None:
    found = read(activity(title, "<p>a</p>"))
    assert found.counts == (1, 0, 1, 0) and found.one()[1][0]["kind"] == "meta"


@pytest.mark.parametrize("items", [[None], [{"html": 5}], "x", {"html": "x"}, [{}]])
def test_answers_of_a_wrong_shape_are_kept(items: Any) -> None:
    draft, messages = one(activity("Prompted Hello", safeHtmlItem=items))
    assert messages[0]["x"]["safeHtmlItem"] == items and list(draft.issues) == ["answer-missing"]


def test_what_is_no_activity_is_rejected() -> None:
    found = read("text", {"a": 1}, activity())
    assert [reason for _, reason in found.source.account.rejected] == ["not a JSON object", "no activity"]
    with pytest.raises(Unparsable):
        read("text")


@pytest.mark.parametrize("cut", [1, 60, 700, 1600])
def test_a_list_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(Unparsable):
        imported(IMPORTER, (FIXTURES / "MyActivity.json").read_bytes()[:cut], "MyActivity.json", {})
    with pytest.raises(Unparsable):
        imported(IMPORTER, (FIXTURES / "takeout.zip").read_bytes()[:cut], "takeout.zip", {})


def test_a_zip_file_without_the_product_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("Takeout/a.json", b"[]")
    with pytest.raises(Unparsable, match="no Gemini activity"):
        imported(IMPORTER, buffer.getvalue(), "takeout.zip", {})
