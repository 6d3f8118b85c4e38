// A card -> a file on the reader's disk: HTML that needs nothing else, or JSON.

/** Save the data behind a card. */
export function saveJson(value, name) {
  save(JSON.stringify(value, null, 2), "application/json", `${name}.ringtrue.json`);
}

/** Save a card as it is seen, with its styles in it and without what only works on the page. */
export function saveReport(card, verdict) {
  const style = [...document.styleSheets[0].cssRules].map((rule) => rule.cssText).join("\n"); // nothing is asked of the network
  const copy = card.cloneNode(true);
  for (const live of copy.querySelectorAll("audio, .actions, .regions button")) {
    live.replaceWith(live.matches(".regions button") ? `${live.textContent}; ` : "");
  }
  for (const fold of copy.querySelectorAll("details")) fold.open = true;
  const main = document.createElement("main");
  main.append(copy, document.querySelector(".trust").cloneNode(true));
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
