// SPDX-License-Identifier: Apache-2.0
// Brings the page up to date every few seconds, unless someone is reading with the keyboard or has marked text.
"use strict";
const EVERY_MS = 5000;
async function refresh() {
  const main = document.getElementById("main");
  const busy = main.contains(document.activeElement) || !document.getSelection().isCollapsed || main.querySelector("details[open]");
  if (document.visibilityState !== "visible" || busy || document.querySelector("form")) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
  if (answer === null || !answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  main.replaceChildren(...page.getElementById("main").childNodes);
  document.title = page.title;
}
setInterval(refresh, EVERY_MS);
