// Updates the page in place. Everything works without this script: it requests the changing part of the current page, as
// the server renders it, and patches only the differences, so that focus, selection and scrolling are kept.
"use strict";

(() => {
  const PART = { "X-Page-Part": "live" };
  const SLOWEST = 60;
  const KEPT_LINES = 5000;
  const lost = document.getElementById("lost");
  // With what was said after a form: the server leaves it out once it is no longer true.
  const source = location.href;
  // The answer to a form: to load it again would send the form again.
  const isForm = "form" in document.documentElement.dataset;
  let tag = "";
  let failures = 0;
  let timer = 0;

  // --- Patching the page --------------------------------------------------------------------------------------------

  const isSame = (old, fresh) => old.nodeName === fresh.nodeName && (old.id || "") === (fresh.id || "");

  function patch(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    patchChildren(old, fresh);
  }

  function patchChildren(old, fresh) {
    let place = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const known = child.id && [...old.childNodes].find((each) => each.id === child.id);
      if (known && known !== place) {
        old.insertBefore(known, place);
        place = known;
      }
      if (place && isSame(place, child)) {
        patch(place, child);
        place = place.nextSibling;
      } else {
        old.insertBefore(document.importNode(child, true), place);
      }
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  }

  // --- Polling ------------------------------------------------------------------------------------------------------

  const live = () => document.getElementById("live");

  // Asks for the page anew, which never sends a form.
  const load = () => location.replace(location.href.split("#")[0]);

  async function refresh() {
    if (isForm || !live()) return;
    try {
      const headers = tag ? { ...PART, "If-None-Match": tag } : PART;
      const answer = await fetch(source, { headers, cache: "no-store", redirect: "manual" });
      // The server itself redirects no such request: a sign-on in front of it does, which the whole page leads to.
      if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 404) {
        load();
        return;
      }
      if (answer.status !== 304) {
        if (!answer.ok) {
          fail("away");
          return;
        }
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
        // The page showed an error, which is laid out differently: load the whole page.
        if ("error" in live().dataset) {
          load();
          return;
        }
        tag = answer.headers.get("ETag") || "";
        if (fresh) patch(live(), fresh);
      }
      failures = 0;
      lost.hidden = true;
    } catch {
      fail("lost");
      return;
    }
    wait();
  }

  // `lost`: the server does not answer; `away`: it does, but cannot show the syncs.
  function fail(words) {
    failures += 1;
    // A single failure may be an accident; the second one is shown.
    if (failures > 1) {
      if (lost.textContent !== lost.dataset[words]) lost.textContent = lost.dataset[words];
      lost.hidden = false;
    }
    wait();
  }

  function wait() {
    clearTimeout(timer);
    const seconds = Number(live()?.dataset.seconds || 0);
    if (!seconds || isForm || document.hidden) return;
    timer = setTimeout(refresh, 1000 * Math.min(SLOWEST, seconds * 2 ** Math.min(failures, 5)));
  }

  // --- The log -----------------------------------------------------------------------------------------------------

  async function follow(log) {
    const state = document.getElementById("log-state");
    const show = (key) => { state.textContent = state.dataset[key]; };
    const decoder = new TextDecoder();
    let isFirst = true;
    try {
      const answer = await fetch(log.dataset.follow, { cache: "no-store", redirect: "manual" });
      if (!answer.ok) throw new Error(String(answer.status));
      if (log.dataset.active === "true") show("following");
      const reader = answer.body.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
        // The stream repeats the lines that the page was rendered with.
        if (isFirst) log.textContent = "";
        document.getElementById("log-empty")?.remove();
        log.append(decoder.decode(part.value, { stream: true }));
        shorten(log);
        if (isAtEnd || isFirst) log.scrollTop = log.scrollHeight;
        isFirst = false;
      }
      show("ended");
    } catch {
      show("interrupted");
    }
  }

  function shorten(log) {
    const lines = log.textContent.split("\n");
    if (lines.length > KEPT_LINES * 1.2) log.textContent = lines.slice(-KEPT_LINES).join("\n");
  }

  // --- The reader's time zone --------------------------------------------------------------------------------------

  // The server writes all times, in the zone that this cookie names; the sign-in form, which shows none, has set it before
  // the first page with times.
  function nameZone() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!zone || zone === document.documentElement.dataset.zone) return;
    const cookie = `estimatesync-zone=${zone}`;
    if (document.cookie.split("; ").includes(cookie)) return;
    document.cookie = `${cookie}; Path=/; Max-Age=31536000; SameSite=Lax${location.protocol === "https:" ? "; Secure" : ""}`;
    if (document.cookie.split("; ").includes(cookie) && document.querySelector("time") && !isForm) load();
  }

  // --- Small things ------------------------------------------------------------------------------------------------

  // Browsers let a page write to the clipboard over https and on the machine itself; elsewhere the text can be selected.
  for (const button of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = button.dataset.done;
    });
  }
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "true";
    });
  }
  // Going back in the history shows the form as it was left, and it may be sent again.
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
  if (document.querySelector("[data-flash]")) {
    const address = new URL(location.href);
    address.searchParams.delete("flash");
    history.replaceState(null, "", address);
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));

  const log = document.getElementById("log");
  if (log) {
    log.scrollTop = log.scrollHeight;
    follow(log);
  }
  nameZone();
  if (live()) wait();
})();
