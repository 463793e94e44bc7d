"""What every page of a site has in common: addresses relative to it, its content security policy, its script.

A page runs one inline script, known to the policy by its hash, which loads the script file that stands in it; what
that loads is trusted in turn (`strict-dynamic`). So nothing that a conversation holds can run, also where pages are
opened as files and `'self'` means little. No address outside the site is allowed for anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

STATIC = "static"
SESSIONS = "sessions"
_LOADER = (
    'addEventListener("DOMContentLoaded",()=>{{for(const name of {names}){{const one=document.createElement("script");'
    'one.async=false;one.src="{up}static/"+name;document.head.append(one)}}}});'
)


def frame(depth: int, address_of: Callable[[str], str], *scripts: str) -> dict[str, Any]:
    """What the frame of a page needs that lies `depth` directories below the site's root; `address_of` gives the
    address of a session from there."""
    up = "../" * depth
    loader = _LOADER.format(names=list(scripts or ("pages.js",)), up=up).replace("'", '"')
    return {
        "home": f"{up}index.html",
        "search": f"{up}search.html",
        "all_sessions": f"{up}sessions.html",
        "tables": "",
        "address_of": address_of,
        "static": {name: f"{up}{STATIC}/{name}" for name in ("pages.css", "icon.svg")},
        "loader": loader,
        "policy": policy(loader),
    }


def policy(loader: str) -> str:
    """The content security policy of a page with that script."""
    digest = base64.b64encode(hashlib.sha256(loader.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}' 'strict-dynamic'; style-src 'self' file:; "
        "img-src 'self' file:; form-action 'self' file:; base-uri 'none'; object-src 'none'"
    )
