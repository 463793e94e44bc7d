"""A set of known items: what is planted into a generated corpus, and the queries that must find it."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from sessionstore.store import Store
from tests.index.making import Message, answered, called, put, said

SESSIONS, MESSAGES = 60, 14
COMMON = ["function", "value", "error", "test", "file", "return", "request", "index", "module", "state", "client"]
COMMON += ["server", "data", "tide", "gauge"]


class Needle(NamedTuple):
    """A message's text in one of its parts, and the queries that must find it. `exact`: every letter counts, so it
    must be among the first ten."""

    kind: str
    part: str
    text: Any
    queries: tuple[str, ...]
    exact: bool = True


def needle(kind: str, part: str, text: Any, *queries: str, exact: bool = True) -> Needle:
    return Needle(kind, part, text, queries, exact)


NEEDLES = [
    # words and phrases
    needle(
        "word", "text", "the zwurbelix was seen again", "zwurbelix", "ZWURBELIX", "zwurbelix.", "zwurb*", "zwur* seen"
    ),
    needle(
        "word", "text", "remember the aardvarkine clause", "aardvarkine", "aardvarkine clause", '"aardvarkine clause"'
    ),
    needle(
        "phrase", "text", "sign the copper lantern treaty at dawn", '"copper lantern treaty"', '"lantern treaty" copper'
    ),
    needle("phrase", "tool_output", "error: value of module is gone", '"value of module is gone"', '"module is gon"*'),
    needle(
        "near",
        "text",
        "plumbago grows, as they say, beside quillwort",
        "NEAR(plumbago quillwort, 6)",
        "plumbago quillwort",
    ),
    needle("not", "text", "mimsy borogove without the other", "mimsy -outgrabe", "mimsy NOT (outgrabe OR jabber)"),
    needle("or", "text", "frabjous day", "frabjous OR callooh", "(frabjous OR callooh) day"),
    needle(
        "accent",
        "text",
        "the naïve façade of the Smörgåsbord",
        "smorgasbord",
        "SMÖRGÅSBORD",
        "naive facade",
        "naïve façade",
    ),
    needle("apostrophe", "text", "it isn’t rutabagas’ fault", "isn't rutabagas", "rutabagas"),
    # code, literally
    needle(
        "code", "text", "call quux.frobnicate(42) here", "quux.frobnicate(", "frobnicate(42)", "quux.frobnicate(42)"
    ),
    needle("code", "text", "std::vector<GizmoPart> parts;", "std::vector<GizmoPart>", "vector<GizmoPart>"),
    needle("code", "text", "written in c++23 and f#", "c++23", "f#"),
    needle("code", "text", "git commit --no-verify-glorp", "--no-verify-glorp", '"--no-verify-glorp"'),
    needle(
        "code",
        "text",
        "see lib/wombat/burrow.py:127: oops",
        "lib/wombat/burrow.py:127",
        "wombat/burrow.py",
        "burrow.py:127",
    ),
    needle("code", "text", "export $WOMBAT_HOME/bin", "$WOMBAT_HOME", "WOMBAT_HOME"),
    needle("code", "text", "def snake_case_gribble(self):", "snake_case_gribble", "def snake_case_gribble("),
    needle("code", "text", "const grib = (x) => x?.y ?? 0;", "(x) => x?.y", "x?.y ?? 0"),
    needle("code", "text", "@blorp.route('/zap/<id>')", "@blorp.route(", "/zap/<id>"),
    needle("code", "text", "SELECT * FROM grommets WHERE id = 7;", '"FROM grommets WHERE"', '"SELECT * FROM grommets"'),
    needle("code", "text", "if (snarfle != null && !done) {", "snarfle != null", '"!= null && !done"'),
    needle("code", "text", r"C:\Users\Ada\frotz.ini", r"C:\Users\Ada\frotz.ini", r"Ada\frotz.ini"),
    needle("code", "text", "regex ^flarn$ and {{mustache_flarn}}", "^flarn$", "{{mustache_flarn}}"),
    needle("code", "text", "margin: -12.5px; /* glitz */", '"-12.5px"', "/* glitz */", "12.5px"),
    needle("code", "text", "#include <glomp.h>", "<glomp.h>", "#include <glomp.h>"),
    needle("code", "text", "version v3.14.159-rc2 of spoo", "v3.14.159-rc2", "3.14.159"),
    needle("code", "text", "listens on 10.77.3.254:8091", "10.77.3.254:8091", "10.77.3.254"),
    needle("code", "text", "took 98.7% of 12,345,678 rows", "98.7%", "12,345,678"),
    needle("mail", "text", "write to grace.hopper+logs@example.org", "grace.hopper+logs@example.org", "hopper+logs@"),
    needle(
        "url",
        "text",
        "at https://example.org/w/flibber?tab=2#top",
        "https://example.org/w/flibber?tab=2#top",
        "flibber?tab=2",
    ),
    # ids
    needle(
        "uuid",
        "text",
        "request 7c9e6679-7425-40de-944b-e07fc1f90ae7 failed",
        "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        "7c9e6679-74",
        "7c9e6679",
        "7c9e66",
        "7C9E6679-7425-40DE",
    ),
    needle(
        "hash",
        "tool_output",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "9fceb02",
        "9fceb02d0ae5",
        "9fceb02d0ae598e95dc970b74767f19372d61af8",
    ),
    needle(
        "hash",
        "text",
        "image sha256:deadbeefcafe0123456789",
        "deadbee",
        "deadbeefcafe",
        "sha256:deadbeefcafe0123456789",
    ),
    # scripts without spaces
    needle("cjk", "text", "上面那条龘字很少见", "龘", "龘字", "龘字很", "龘字很少"),
    needle("cjk", "text", "我们用Rust重写数据库引擎", "重写", "数据库引擎", "用rust重", "Rust重写", "库引"),
    needle("cjk", "tool_output", "错误：文件锁住了", "文件锁", "锁住了", "错误：文件锁住了"),
    needle("cjk", "text", "大阪の潮位計が壊れました", "潮位計", "潮", "が壊れ", "壊れました"),
    needle("cjk", "text", "カタカナのテスト データ", "カタカナ", "テスト"),
    needle("cjk", "reasoning", "조수 측정기를 고쳐야 한다", "측정기", "측정", "조수 측정기"),
    needle("script", "text", "ผมต้องการซ่อมเครื่องวัดน้ำ", "เครื่องวัด", "ซ่อม"),
    needle("script", "text", "приливный датчик сломался", "датчик", "ПРИЛИВНЫЙ датчик", "датч*"),
    needle("script", "text", "ο παλιρροιογράφος χάλασε", "παλιρροιογράφος", "παλιρροιογραφος", "ΠΑΛΙΡΡΟΙΟΓΡΆΦΟΣ"),
    needle("script", "text", "مقياس المد والجزر معطل", "مقياس", "والجزر"),
    needle("script", "text", "מד הגאות מקולקל", "הגאות", "מקולקל"),
    needle("script", "text", "ज्वारमापी खराब है", "ज्वारमापी"),
    needle("emoji", "text", "shipped 🦩 at last", "🦩", "shipped 🦩"),
    needle("emoji", "text", "family 👩‍👩‍👧 and flag 🇮🇸", "👩‍👩‍👧", "🇮🇸"),
    # parts of a message
    needle(
        "output",
        "tool_output",
        "Traceback: KeyError: 'sprocketeer'",
        "sprocketeer",
        "KeyError: 'sprocketeer'",
        "in:tools sprocketeer",
    ),
    needle("output", "tool_output", [{"type": "text", "text": "row one"}, {"rows": [["gnarlybit", 5]]}], "gnarlybit"),
    needle("output", "tool_output", '{"stdout": "first\\nthrumbolt here"}', "thrumbolt"),
    needle(
        "input",
        "tool_input",
        {"command": "make dingleflop && ls"},
        "dingleflop",
        '"make dingleflop"',
        "tool:Bash dingleflop",
    ),
    needle(
        "input",
        "tool_input",
        {"file_path": "/src/harbour/quayside.py", "content": "x = 1"},
        "quayside.py",
        "file:quayside.py",
        "file:/src/harbour",
    ),
    needle(
        "patch",
        "tool_input",
        {"input": "*** Begin Patch\n*** Update File: docks/pier.rs\n+fn moor() {}\n*** End Patch"},
        "docks/pier.rs",
        "file:docks/pier.rs",
        '"fn moor"',
    ),
    needle(
        "reasoning",
        "reasoning",
        "perhaps the sluicegate flag is inverted",
        "sluicegate",
        "in:reasoning sluicegate",
        "has:reasoning sluicegate",
    ),
    needle(
        "title",
        "title",
        "Mending the barnacle counter",
        '"barnacle counter"',
        "in:title barnacle",
        "title:barnacle in:title counter",
    ),
    needle(
        "context",
        "context",
        "# AGENTS.md instructions for /src\n\nalways say kumquatly",
        "kumquatly",
        "in:context kumquatly",
    ),
    needle("context", "tool_output", "done\n<system-reminder>beware of thistledown</system-reminder>", "thistledown"),
    needle("attachment", "blob", "seabed-survey-77.png", "seabed-survey-77.png", "survey-77"),
    needle("error", "failed", "cannot moor the zeppelinette", "has:error zeppelinette", "zeppelinette role:tool"),
    needle("code block", "text", "```py\ncrumhorn()\n```", "has:code crumhorn", "crumhorn()"),
    # patterns
    needle(
        "regex",
        "text",
        "the depth was 1234cm at noon, said Ottilie",
        r"/depth was \d+cm/",
        r"/DEPTH WAS \d{4}cm/i",
        r"/said Ottilie$/",
        r"/\bOtti\w+/",
    ),
    needle(
        "regex",
        "tool_output",
        "a/b/skerry.log: 17 lines",
        r"/a\/b\/skerry\.log/",
        r"/skerry\.(log|txt)/",
        "/skerry/ lines",
    ),
    needle("regex", "text", "漂流瓶 number 9 of 12", r"/漂流瓶 number \d/", r"/number [0-9] of 12/ 漂流"),
    # dates and fields
    needle(
        "date",
        "dated",
        "the equinoctial reading",
        "equinoctial on:2025-03-20",
        "equinoctial on:2025-03-19..2025-03-21",
        "equinoctial after:2025-03-20 before:2025-03-21",
        "equinoctial on:..2025-04",
    ),
    needle(
        "field",
        "text",
        "halyard check",
        "halyard role:user",
        "halyard source:known",
        "halyard project:boats",
        "halyard branch:rigging",
    ),
    # what is near counts more: others hold the same words far apart
    needle("rank", "text", "the gauge server state is stale", "gauge server state", exact=False),
    needle("rank", "text", "return the client index", "return client index", exact=False),
    needle("rank", "text", "tide module request", "tide module request", exact=False),
]

TYPOS = {
    "zwurbelxi": "zwurbelix",
    "aardvarknie": "aardvarkine",
    "copper lantrn": "copper lantern",
    "sprocketer": "sprocketeer",
    "sluicgeate": "sluicegate",
    "dinglflop": "dingleflop",
    "thistledwon": "thistledown",
    "kumqatly": "kumquatly",
    "gnarlybyt": "gnarlybit",
    "role:tool thrumblot": "role:tool thrumbolt",
    "датчмк": "датчик",
    "zeppilinete": "zeppelinette",
}
"""What is typed, and what is proposed."""


def filler(rng: random.Random, words: list[str], n: int) -> str:
    """About n words, common ones more often."""
    return " ".join(words[int(len(words) * rng.random() ** 3)] for _ in range(n))


def message(part: str, content: Any, name: str) -> Message:
    """A message with the content in the part."""
    if part == "reasoning":
        return {"id": name, "role": "assistant", "parts": [{"type": "reasoning", "content": content}]}
    if part in ("tool_output", "failed"):
        return answered("c", content, failed=part == "failed", id=name)
    if part == "tool_input":
        return called("c", "Bash" if "command" in content else "Write", content, id=name)
    if part == "blob":
        blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "data": "Zm9v", "name": content}
        return {"id": name, "role": "user", "parts": [blob]}
    if part == "dated":
        return said(content, id=name, time="2025-03-20T12:00:00Z")
    return said(content, id=name)


def plant(store: Store) -> dict[str, list[str]]:
    """Fill the store; returns for each query the links that are known to answer it."""
    rng = random.Random(7)
    letters = ["".join(rng.choices("bcdfghklmnprstvz", k=1) + rng.choices("aeiou", k=1)) for _ in range(60)]
    words = [*COMMON, *("".join(rng.choices(letters, k=rng.randint(2, 4))) for _ in range(2000)), "copper", "cooper"]
    wanted: dict[str, list[str]] = {}
    titles: dict[int, str] = {}
    planted: dict[int, list[tuple[int, Message]]] = {}
    for number, found in enumerate(NEEDLES):
        session, place = number * 7 % SESSIONS, rng.randrange(MESSAGES)
        link = f"known:{session}#n{number}"
        if found.part == "title":
            titles[session], link = found.text, f"known:{session}"
        else:
            planted.setdefault(session, []).append((place, message(found.part, found.text, f"n{number}")))
        for query in found.queries:
            wanted.setdefault(query, []).append(link)
    for session in range(SESSIONS):
        messages: list[Message] = [
            message(rng.choice(["text", "reasoning", "tool_output"]), filler(rng, words, rng.randint(5, 60)), f"f{n}")
            for n in range(MESSAGES)
        ]
        for place, one in planted.get(session, ()):
            messages.insert(place, one)
        about = {"title": titles.get(session), "project": "boats", "git": {"branch": "rigging"}}
        time = f"2025-{1 + session % 12:02}-{1 + session % 28:02}T08:00:00Z"
        put(store, f"known:{session}", *messages, created_at=time, **{k: v for k, v in about.items() if v})
    return wanted
