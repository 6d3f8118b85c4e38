// A card -> a file on the reader's disk: HTML that needs nothing else, or JSON.

/** Save the data behind a card. */
export function saveJson(value, name) {
  save(JSON.stringify(value, null, 2), "application/json", `${name}.ringtrue.json`);
}

/** Save a card as it is seen, with its styles in it and without what only works on the page. */
export function saveReport(card, verdict) {
  const style = [...document.styleSheets[0].cssRules].map((rule) => rule.cssText).join("\n"); // nothing is asked of the network
  const copy = card.cloneNode(true);
  const regions = [...copy.querySelectorAll(".regions button")];
  regions.forEach((button, at) => button.replaceWith(button.textContent + (at < regions.length - 1 ? "; " : "")));
  for (const live of copy.querySelectorAll("audio, .actions, .head, .page-only")) live.remove();
  for (const picture of copy.querySelectorAll(".timeline")) {
    for (const name of [...picture.getAttributeNames()].filter((one) => one.startsWith("aria-value") || one === "tabindex")) picture.removeAttribute(name);
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", "Outline of the sound and, below it, the evidence over time");
  }
  for (const fold of copy.querySelectorAll("details")) fold.open = true;
  const main = document.createElement("main");
  const trust = document.querySelector(".trust").cloneNode(true), heading = document.createElement("h1");
  trust.querySelector("#privacy").remove();
  heading.textContent = "ringtrue: report on a recording";
  main.append(heading, copy, trust);
  const title = document.createElement("title");
  title.textContent = `ringtrue: ${verdict.name}`;
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width">${title.outerHTML}<style>${style}</style>`;
  save(`<!doctype html>\n<html lang="en"><head>${head}</head><body>${main.outerHTML}</body></html>`, "text/html", `${verdict.name}.ringtrue.html`);
}

function save(text, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
