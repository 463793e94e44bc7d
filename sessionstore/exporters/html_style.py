"""How an exported page looks."""

STYLE = """\
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #fff; --ink: #1d1d1f; --soft: #6a6a70; --line: #dddde2; --code: #f3f3f5;
  --user: #2f6f4f; --assistant: #2b5fa8; --tool: #8a4b9a; --system: #8a6a1f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #161618; --card: #1f1f22; --ink: #e8e8ea; --soft: #9d9da5; --line: #36363b; --code: #29292d;
    --user: #7fc6a0; --assistant: #86b4f0; --tool: #d09ae0; --system: #d9b766;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 52rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif;
}
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; color: var(--soft); font-size: .875rem; }
dd { margin: 0; overflow-wrap: anywhere; }
article {
  margin: 1rem 0; padding: .25rem 1rem .75rem; background: var(--card);
  border: 1px solid var(--line); border-left: 4px solid var(--soft); border-radius: 6px;
}
article.user { border-left-color: var(--user); }
article.assistant { border-left-color: var(--assistant); }
article.tool { border-left-color: var(--tool); }
article.system { border-left-color: var(--system); }
article:target { outline: 2px solid var(--assistant); }
h2 { margin: .5rem 0; font-size: .9375rem; }
h2 a { color: var(--soft); text-decoration: none; }
h2 small { margin-left: .75rem; font-weight: normal; color: var(--soft); white-space: pre-wrap; }
.text { margin: .5rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
pre {
  margin: .5rem 0; padding: .625rem .75rem; background: var(--code); border-radius: 4px; overflow-x: auto;
  font: .8125rem/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
}
details { margin: .5rem 0; border: 1px solid var(--line); border-radius: 4px; padding: .25rem .75rem; }
summary { cursor: pointer; color: var(--soft); font-size: .875rem; }
summary code { color: var(--ink); }
img, video { max-width: 100%; height: auto; border-radius: 4px; }
audio { width: 100%; }
a { color: var(--assistant); overflow-wrap: anywhere; }
.stand-in { color: var(--soft); }
@media print {
  body { max-width: none; padding: 0; }
  article { break-inside: avoid-page; }
}
"""
"""The style sheet of an exported page."""
