"use strict";
/* Keys, copying, and new messages of an open session. Pages are read without it just as well. */
(() => {
  const messages = document.getElementById("messages");
  const number = (name) => Number(messages.dataset[name]);

  /* A link to a message that stands on another page. */
  const spot = /^#m-(\d+)$/.exec(location.hash);
  if (messages && spot && !document.getElementById(`m-${spot[1]}`) && Number(spot[1]) < number("count")) {
    const page = messages.dataset.file && Math.floor(spot[1] / number("size")) + 1;
    const file = page && `${messages.dataset.file}${page > 1 ? `-${page}` : ""}.html`;
    location.replace(`${file || `${messages.dataset.address}?at=${spot[1]}`}#m-${spot[1]}`);
    return;
  }

  const targets = () => [...document.querySelectorAll(messages ? "article.message" : "li.session a.title, article.group h2 a")];
  const move = (step) => {
    const all = targets();
    if (!all.length) return;
    const top = all.findIndex((one) => one === document.activeElement || one.contains(document.activeElement));
    let next = top + step;
    if (top < 0) next = Math.max(0, all.findIndex((one) => one.getBoundingClientRect().top >= 0));
    const one = all[Math.min(all.length - 1, Math.max(0, next))];
    one.focus({ preventScroll: true });
    one.scrollIntoView({ block: messages ? "start" : "nearest" });
  };
  const follow = (relation) => document.querySelector(`a[rel=${relation}]`)?.click();
  const fold = () => {
    const all = [...document.querySelectorAll("article.message details")];
    const open = all.some((one) => !one.open);
    all.forEach((one) => { one.open = open; });
  };
  const keys = {
    "/": () => document.getElementById("q").focus(),
    j: () => move(1), k: () => move(-1), n: () => follow("next"), p: () => follow("prev"), e: fold,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const act = keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  /* A folded part that holds the target of a link, or what the reader looks for, is opened by the browser itself. */
  const copier = (button, text) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(await text());
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  };
  /* A message as it was written, Markdown and all; as it is shown when the server cannot be asked. */
  const readable = async (article) => {
    try {
      const answer = await fetch(`${messages.dataset.address}/${article.id.slice(2)}.txt${messages.dataset.head}`);
      if (answer.ok) return (await answer.text()).trim();
    } catch { /* the server has ended */ }
    const copy = article.cloneNode(true);
    copy.querySelectorAll("header, button").forEach((one) => one.remove());
    return copy.textContent.trim();
  };
  const equip = (article) => {
    const head = article.querySelector("header");
    if (!head || !navigator.clipboard) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy message ${Number(article.id.slice(2)) + 1}`);
    copier(button, () => readable(article));
    head.append(button);
  };
  if (navigator.clipboard) {
    document.querySelectorAll("button[data-copy]").forEach((one) => copier(one, () => document.getElementById(one.dataset.copy).textContent));
  }
  if (!messages) return;
  const seen = new IntersectionObserver((entries) => entries.filter((one) => one.isIntersecting).forEach((one) => {
    seen.unobserve(one.target);
    equip(one.target);
  }), { rootMargin: "400px" });
  const watch = () => document.querySelectorAll("article.message:not([data-seen])").forEach((one) => {
    one.dataset.seen = "1";
    seen.observe(one);
  });
  watch();

  /* New messages. The server has escaped and sanitised what it sends, as in the page itself. */
  if (messages.dataset.live !== "yes") return;
  const told = document.getElementById("live");
  let pause = 1500;
  const look = async () => {
    if (!document.hidden) {
      try {
        const query = new URLSearchParams({ after: messages.dataset.next, last: messages.dataset.last });
        const answer = await fetch(`${messages.dataset.address}/news?${query}`, { headers: { accept: "application/json" } });
        if (!answer.ok) throw new Error(String(answer.status));
        const news = await answer.json();
        if (news.changed) {
          told.textContent = "This conversation was rewritten. Load the page again to see it.";
          return;
        }
        if (news.html.length) {
          const atEnd = window.innerHeight + window.scrollY > document.documentElement.scrollHeight - 200;
          messages.insertAdjacentHTML("beforeend", news.html.join(""));
          messages.dataset.next = news.next;
          messages.dataset.last = news.last;
          messages.dataset.count = news.count;
          document.getElementById("count").textContent = news.count.toLocaleString("en");
          told.textContent = `${news.html.length} new ${news.html.length === 1 ? "message" : "messages"}`;
          watch();
          if (atEnd) messages.lastElementChild.scrollIntoView({ block: "end" });
        }
        pause = news.more ? 50 : 1500;
      } catch {
        pause = Math.min(30000, pause * 2);
      }
    }
    setTimeout(look, pause);
  };
  setTimeout(look, pause);
})();
