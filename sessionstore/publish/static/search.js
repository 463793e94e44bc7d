"use strict";
/* The search of a site that has no server: an index in script files, loaded as they are needed. What conversations hold
   is only ever put into the page as text. */
(() => {
  const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const VALUE = new Map([...DIGITS].map((digit, value) => [digit.charCodeAt(0), value]));
  const ROLES = { u: "user", a: "assistant", t: "tool", s: "system", x: "other" };
  const FIELDS = ["source", "project", "model", "role", "title", "session", "after", "before", "on"];
  const GROUPS = 20, HITS = 3, CANDIDATES = 2000;
  const waiting = new Map(), loaded = new Map();
  let about, firsts, unspaced;

  const arrived = (name, value) => { loaded.set(name, value); };
  globalThis.sessionstoreSearch = {
    manifest: (value) => arrived("manifest", value),
    terms: (number, value) => arrived(`terms-${number}`, value),
    texts: (number, value) => arrived(`texts-${number}`, value),
  };
  const load = (name) => {
    if (!waiting.has(name)) {
      waiting.set(name, new Promise((done, failed) => {
        const one = document.createElement("script");
        one.charset = "utf-8";
        one.src = `search/${name}.js`;
        one.onload = () => done(loaded.get(name));
        one.onerror = () => { waiting.delete(name); failed(new Error(`search/${name}.js is missing`)); };
        document.head.append(one);
      }));
    }
    return waiting.get(name);
  };

  /* Texts and terms, as publish/lookup.py makes them. */
  const fold = (text) => /^[\u0000-\u007f]*$/u.test(text) ? text.toLowerCase() : text.normalize("NFKD").replace(/\p{M}+/gu, "").normalize("NFC").toLowerCase();
  const termsOf = (folded) => {
    const found = [];
    for (const word of folded.match(/[\p{L}\p{N}]+/gu) || []) {
      for (const run of word.match(unspaced) || []) {
        const letters = [...run];
        if (!run.match(unspaced.one)) found.push(letters.slice(0, about.longest).join(""));
        else if (letters.length === 1) found.push(run);
        else letters.slice(1).forEach((letter, at) => found.push(letters[at] + letter));
      }
    }
    return found;
  };
  const decoded = (text) => {
    const numbers = [];
    let last = 0, value = 0;
    for (let at = 0; at < text.length; at++) {
      const digit = VALUE.get(text.charCodeAt(at));
      value = value * 32 + (digit & 31);
      if (digit < 32) { last += value; numbers.push(last); value = 0; }
    }
    return numbers;
  };

  /* The file that a value stands in: the last one that begins with it or before it. */
  const place = (list, value) => {
    let low = 0, high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle] <= value) low = middle + 1; else high = middle;
    }
    return low - 1;
  };
  const lines = async (part) => {
    const text = await load(`terms-${part}`);
    if (typeof text !== "string") return text;
    const split = text.split("\n").map((line) => { const at = line.indexOf(" "); return [line.slice(0, at), line.slice(at + 1)]; });
    waiting.set(`terms-${part}`, Promise.resolve(split));
    return split;
  };
  /* Message numbers with whether the term was said (1) or stands beside (0). */
  const messagesWith = async (term, begins) => {
    const found = new Map();
    if (!about.terms.length) return found;
    for (let part = Math.max(0, place(about.terms, term)); part < about.terms.length; part++) {
      for (const [one, list] of await lines(part)) {
        if (begins ? one.startsWith(term) : one === term) {
          for (const number of decoded(list)) found.set(number >> 1, Math.max(found.get(number >> 1) || 0, number & 1));
        }
      }
      const next = about.terms[part + 1];
      if (!begins || next === undefined || (next > term && !next.startsWith(term))) break;
    }
    return found;
  };

  /* `30d`, `2w`, `6m`, `1y`, today and yesterday as dates; a date as it is. */
  const DAYS = { d: 1, w: 7, m: 30, y: 365 };
  const date = (text) => {
    const back = /^(\d{1,4})([dwmy])$/u.exec(text);
    const days = back ? back[1] * DAYS[back[2]] : { today: 0, yesterday: 1 }[text];
    return days === undefined ? text : new Date(Date.now() - days * 864e5).toISOString().slice(0, 10);
  };

  /* What was typed: words and phrases, some excluded, and fields. */
  const understood = (typed) => {
    const query = { items: [], fields: [] };
    const pattern = /(-?)(?:([a-z]+):)?(?:"([^"]*)"?|(\S+))/gu;
    for (const [, minus, name, phrase, word] of typed.matchAll(pattern)) {
      let text = phrase ?? word;
      if (name && FIELDS.includes(name)) {
        const dated = ["after", "before", "on"].includes(name);
        query.fields.push({ name, text: dated ? date(fold(text)) : fold(text), not: minus === "-" });
        continue;
      }
      if (name) text = phrase === undefined ? `${name}:${word}` : phrase;
      const begins = phrase === undefined && text.length > 1 && text.endsWith("*");
      if (begins) text = text.slice(0, -1);
      const folded = fold(text).trim().replace(/\s+/gu, " ");
      const terms = termsOf(folded);
      if (!terms.length) continue;
      const exact = terms.length === 1 && terms[0] === folded;
      query.items.push({ terms, begins, not: minus === "-", literal: exact ? null : folded, shown: folded });
    }
    return query;
  };
  const matcher = (folded, plain) => {
    const escaped = folded.replace(/[.*+?^${}()|[\]\\]/gu, "\\$&").replace(/ /gu, "\\s+");
    const edges = plain && !folded.match(unspaced.one);
    return new RegExp(edges ? `(?<![\\p{L}\\p{N}])${escaped}` : escaped, "gu");
  };

  const numberOfSession = (message) => place(firsts, message);
  const fits = (session, fields) => fields.every(({ name, text, not }) => {
    const has = (value) => fold(String(value ?? "")).includes(text);
    const date = session.time || "";
    const test = {
      source: () => fold(session.source) === text,
      project: () => has(session.project),
      model: () => session.models.some(has),
      title: () => has(session.title),
      session: () => has(session.key),
      after: () => date !== "" && date.slice(0, text.length) >= text,
      before: () => date !== "" && date.slice(0, text.length) < text,
      on: () => { const [from, to] = text.split(".."); return date.slice(0, from.length) >= from && date.slice(0, (to || from).length) <= (to || from); },
      role: () => true,
    }[name];
    return test() !== not || name === "role";
  });

  /* The messages that have everything, with a score each. */
  const candidates = async (query) => {
    const scores = new Map();
    const wanted = query.items.filter((item) => !item.not);
    const lists = [];
    for (const item of wanted) {
      for (const [at, term] of item.terms.entries()) {
        lists.push(await messagesWith(term, item.begins && at === item.terms.length - 1));
      }
    }
    lists.sort((one, other) => one.size - other.size);
    for (const message of (lists[0] || new Map()).keys()) {
      let score = 0;
      if (!lists.every((list) => {
        const strong = list.get(message);
        if (strong === undefined) return false;
        score += Math.log(1 + about.documents / list.size) * (strong ? 1 : 0.4);
        return true;
      })) continue;
      scores.set(message, score);
    }
    for (const item of query.items.filter((one) => one.not && !one.literal)) {
      for (const message of (await messagesWith(item.terms[0], item.begins)).keys()) scores.delete(message);
    }
    const roles = query.fields.filter((field) => field.name === "role");
    for (const message of [...scores.keys()]) {
      const role = ROLES[about.roles[message]];
      if (!fits(about.sessions[numberOfSession(message)], query.fields) || !roles.every((field) => (role === field.text) !== field.not)) scores.delete(message);
    }
    return scores;
  };

  const textOf = async (message) => {
    const part = place(about.texts, message);
    return (await load(`texts-${part}`))[message - about.texts[part]] || "";
  };
  /* Whether the phrases stand in a message as they were typed. Of a long text only the beginning is known: there the
     terms decide. */
  const verified = async (message, query) => {
    const literals = query.items.filter((item) => item.literal);
    if (!literals.length) return true;
    const text = await textOf(message);
    const folded = fold(text);
    return literals.every((item) => {
      const found = matcher(item.literal, false).test(folded);
      return item.not ? !found : found || text.length >= about.kept;
    });
  };

  const found = async (query) => {
    const groups = new Map();
    const group = (number) => {
      if (!groups.has(number)) groups.set(number, { number, session: about.sessions[number], hits: [], count: 0, score: 0 });
      return groups.get(number);
    };
    const words = query.items.filter((item) => !item.not);
    if (!words.length) {
      about.sessions.forEach((session, number) => { if (fits(session, query.fields)) group(number); });
      return { groups: [...groups.values()], cut: false };
    }
    const scores = await candidates(query);
    const ranked = [...scores].sort((one, other) => other[1] - one[1] || one[0] - other[0]);
    const exact = query.items.some((item) => item.literal);
    for (const [message, score] of exact ? ranked.slice(0, CANDIDATES) : ranked) {
      if (exact && !await verified(message, query)) continue;
      const one = group(numberOfSession(message));
      one.count++;
      one.score = Math.max(one.score, score);
      if (one.hits.length < HITS) one.hits.push(message);
    }
    about.sessions.forEach((session, number) => {
      const title = fold(session.title);
      if (fits(session, query.fields) && words.every((item) => matcher(item.shown, true).test(title))) group(number).score += 20;
    });
    for (const one of groups.values()) one.score += Math.log(1 + one.count) * 0.3;
    const sorted = [...groups.values()].sort((one, other) => other.score - one.score || one.number - other.number);
    return { groups: sorted, cut: exact && ranked.length > CANDIDATES };
  };

  /* Showing. */
  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const visible = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f]+/gu, " ");
  /* [start, end) of what was looked for, in the text as it is. */
  const marks = (text, query) => {
    let folded = "";
    const from = [];
    let at = 0;
    for (const letter of text) {
      const plain = letter.charCodeAt(0) < 128 ? letter.toLowerCase() : fold(letter);
      for (let i = 0; i < plain.length; i++) from.push(at);
      folded += plain;
      at += letter.length;
    }
    from.push(text.length);
    const ranges = [];
    for (const item of query.items.filter((one) => !one.not)) {
      for (const match of folded.matchAll(matcher(item.shown, !item.literal))) {
        if (match[0]) ranges.push([from[match.index], from[match.index + match[0].length]]);
        if (ranges.length > 200) break;
      }
    }
    ranges.sort((one, other) => one[0] - other[0] || other[1] - one[1]);
    return ranges.filter((range, i) => range[1] > range[0] && (!i || range[0] >= ranges[i - 1][1]));
  };
  const marked = (target, text, ranges, start, end) => {
    let position = start;
    for (const [from, to] of ranges) {
      if (from < position || to > end) continue;
      target.append(visible(text.slice(position, from)), element("mark", visible(text.slice(from, to))));
      position = to;
    }
    target.append(visible(text.slice(position, end)));
  };
  const snippet = (target, text, query) => {
    const ranges = marks(text, query);
    let start = Math.max(0, (ranges.length ? ranges[0][0] : 0) - 60);
    if (start && text.charCodeAt(start) >= 0xdc00 && text.charCodeAt(start) < 0xe000) start--;
    const end = Math.min(text.length, start + 240);
    if (start) target.append("…");
    marked(target, text, ranges, start, end);
    if (end < text.length) target.append("…");
  };
  const address = (session, first, message) => {
    const number = message - first, page = Math.floor(number / about.page) + 1;
    return `sessions/${session.file}${page > 1 ? `-${page}` : ""}.html#m-${number}`;
  };
  const shown = async (one, query) => {
    const { session, number } = one;
    const article = element("article", "", "group");
    const title = element("a");
    marked(title, session.title, marks(session.title, query), 0, session.title.length);
    title.href = `sessions/${session.file}.html`;
    const heading = element("h2");
    heading.append(title);
    const facts = element("p", "", "facts");
    facts.append(element("span", session.source, "chip"));
    for (const told of [session.project, (session.time || "").replace("T", " "), `${session.messages || 0} messages`, one.count ? `${one.count} found in it` : ""]) {
      if (told) facts.append(" ", element("span", told));
    }
    article.append(heading, facts);
    if (one.hits.length) {
      const list = element("ul", "", "hits");
      for (const message of one.hits) {
        const link = element("a", `${ROLES[about.roles[message]]} #${message - firsts[number] + 1}`, "who");
        link.href = address(session, firsts[number], message);
        const words = element("span", "", "snippet");
        snippet(words, await textOf(message), query);
        const line = element("li");
        line.append(link, " ", words);
        list.append(line);
      }
      article.append(list);
    }
    return article;
  };

  const box = document.getElementById("q"), told = document.getElementById("told");
  const results = document.getElementById("results"), more = document.getElementById("more");
  let run = 0;
  const asked = () => {
    const given = new URLSearchParams(location.search);
    const parts = [given.get("q") || ""];
    for (const name of FIELDS) for (const value of given.getAll(name)) parts.push(`${name}:"${value.replaceAll('"', "")}"`);
    return parts.filter(Boolean).join(" ");
  };
  const search = async (typed) => {
    const mine = ++run;
    results.replaceChildren();
    more.hidden = true;
    document.getElementById("heading").textContent = typed ? `Search: ${typed.slice(0, 200)}` : "All sessions";
    const query = understood(typed.slice(0, 4096));
    if (typed.trim() && !query.items.length && !query.fields.length) {
      told.textContent = "There is no word in this query.";
      return;
    }
    const { groups, cut } = await found(query);
    if (mine !== run) return;
    const messages = groups.reduce((sum, one) => sum + one.count, 0);
    told.textContent = !groups.length ? "Nothing found." : messages
      ? `${cut ? "at least " : ""}${messages.toLocaleString("en")} ${messages === 1 ? "message" : "messages"} in ${groups.length.toLocaleString("en")} ${groups.length === 1 ? "session" : "sessions"}`
      : `${groups.length.toLocaleString("en")} ${groups.length === 1 ? "session" : "sessions"}`;
    let next = 0;
    const show = async () => {
      const made = await Promise.all(groups.slice(next, next + GROUPS).map((one) => shown(one, query)));
      if (mine !== run) return;
      next += GROUPS;
      results.append(...made);
      more.hidden = next >= groups.length;
    };
    more.onclick = show;
    await show();
  };
  const begin = async () => {
    about = await load("manifest");
    firsts = [];
    let first = 0;
    for (const session of about.sessions) { firsts.push(first); first += session.messages || 0; }
    unspaced = new RegExp(`[${about.unspaced}]+|[^${about.unspaced}]+`, "gu");
    unspaced.one = new RegExp(`[${about.unspaced}]`, "u");
    const typed = asked();
    box.value = typed;
    box.form.addEventListener("submit", (event) => {
      event.preventDefault();
      history.replaceState(null, "", `?q=${encodeURIComponent(box.value)}`);
      search(box.value).catch(failed);
    });
    if (typed) await search(typed);
    else { told.textContent = `${about.documents.toLocaleString("en")} messages in ${about.sessions.length.toLocaleString("en")} sessions can be searched.`; box.focus(); }
  };
  const failed = (error) => { told.textContent = `The search does not work here: ${error.message}.`; };
  begin().catch(failed);
})();
