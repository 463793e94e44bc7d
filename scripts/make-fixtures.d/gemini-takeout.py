"""Fixtures of Gemini Apps in Google Takeout: JSON, HTML, and zip files of both, one in another language."""

from __future__ import annotations

import html
import json
import zipfile
from pathlib import Path
from typing import Any

FOLDER = "Takeout/My Activity/Gemini Apps/"
STYLE = "<style>" + ".mdl-grid{display:flex}\n" * 2800 + "</style>"
"""As long as the page's real one, so that its first record is far from its beginning."""


def activity(title: str, time: str, *answers: str, **fields: Any) -> dict[str, Any]:
    """An activity as Takeout writes it."""
    made: dict[str, Any] = {
        "header": "Gemini Apps",
        "title": title,
        "time": time,
        "products": ["Gemini Apps"],
        "activityControls": ["Gemini Apps Activity"],
    }
    if answers:
        made["safeHtmlItem"] = [{"html": answer} for answer in answers]
    return made | fields


def activities() -> list[dict[str, Any]]:
    """Activities, the newest first."""
    link = {
        "name": "https://gemini.google.com/app/aaaaaaaaaaaaaaaa",
        "url": "https://gemini.google.com/app/aaaaaaaaaaaaaaaa",
    }
    return [
        activity("Used Gemini Apps", "2026-05-03T09:00:00.000Z"),
        activity(
            "Prompted What is in the picture?",
            "2026-05-02T09:00:00.250Z",
            "<p>A loaf &amp; a knife.</p><ul><li>rye</li><li>steel</li></ul>",
            attachedFiles=["loaf.png", "lost.pdf"],
            details=[link],
        ),
        activity("Prompted Two names, please", "2026-05-01T09:00:01.000Z", "<p>Crumb</p>", "<p>Rise</p>"),
        activity("Prompted And nobody answered", "2026-05-01T09:00:00.000Z"),
        activity("Bäckereien in der Nähe", "2026-04-30T09:00:00.000Z", "<pre>a\n  b</pre>"),
    ]


def page(records: list[tuple[str, str, str]]) -> str:
    """A page of (prompt, time, answer)."""
    cells = [
        '<div class="outer-cell mdl-cell mdl-cell--12-col mdl-shadow--2dp"><div class="mdl-grid">'
        '<div class="header-cell mdl-cell mdl-cell--12-col"><p class="mdl-typography--title">Gemini Apps<br></p></div>'
        '<div class="content-cell mdl-cell mdl-cell--6-col mdl-typography--body-1">'
        f"{prompt}<br>{time}<br>{answer}</div>"
        '<div class="content-cell mdl-cell mdl-cell--6-col mdl-typography--body-1 mdl-typography--text-right"></div>'
        '<div class="content-cell mdl-cell mdl-cell--12-col mdl-typography--caption"><b>Products:</b><br>'
        "&emsp;Gemini Apps<br></div></div></div>"
        for prompt, time, answer in records
    ]
    head = f'<html><head><meta charset="UTF-8"><title>My Activity History</title>{STYLE}</head>'
    return f'{head}<body><div class="mdl-grid">{"".join(cells)}</div></body></html>'


def pages() -> str:
    """A page with an English time in UTC, one in another zone, one of another language, and no prompt at all."""
    asked = html.escape("What is 1 < 2?")
    return page(
        [
            (
                f"Prompted&nbsp;{asked}",
                "May 2, 2026, 9:00:00\u202fAM UTC",
                "<p>True, <b>always</b>.</p><div>And<br>so on</div>",
            ),
            (
                'Prompted A picture<br>Attached 1 file.<br>-&nbsp;<a href="loaf.png">loaf.png</a>',
                "Feb 2, 2026, 4:24:02\u202fPM JST",
                "<p>Rye</p>",
            ),
            ("Frage nach Brot", "02.05.2026, 16:24:02 MESZ", "<p>Gern.</p>"),
            ("Used Gemini Apps", "May 1, 2026, 9:00:00\u202fAM UTC", ""),
        ]
    )


def packed(path: Path, content: dict[str, bytes]) -> None:
    """Write a zip file, the same bytes each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data)


def make(target: Path) -> None:
    """Write the fixtures below `target`."""
    target.mkdir(parents=True, exist_ok=True)
    picture = b"\x89PNG\r\n\x1a\nloaf"
    listed = json.dumps(activities(), indent=2, ensure_ascii=False).encode()
    (target / "MyActivity.json").write_bytes(listed)
    (target / "MyActivity.html").write_bytes(pages().encode())
    search = [
        {"header": "Search", "title": "Searched for gemini", "time": "2026-05-01T09:00:00Z", "products": ["Search"]}
    ]
    packed(
        target / "takeout.zip",
        {
            "Takeout/archive_browser.html": b"<html><body>Gemini Apps</body></html>",
            "Takeout/My Activity/Search/MyActivity.json": json.dumps(search).encode(),
            f"{FOLDER}MyActivity.json": listed,
            f"{FOLDER}loaf.png": picture,
        },
    )
    localised = [item | {"header": "Gemini アプリ"} for item in activities()[1:3]]
    packed(
        target / "takeout-ja.zip",
        {
            "Takeout/マイ アクティビティ/Gemini アプリ/マイアクティビティ.json": json.dumps(
                localised, ensure_ascii=False
            ).encode()
        },
    )
    packed(target / "takeout-html.zip", {f"{FOLDER}MyActivity.html": pages().encode(), f"{FOLDER}loaf.png": picture})
