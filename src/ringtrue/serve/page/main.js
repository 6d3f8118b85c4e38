// What a person does on the page -> recordings to judge -> rows and cards.

import * as browser from "./browser.js";
import { card, tag } from "./card.js";
import { scale } from "./charts.js";
import { html } from "./elements.js";
import { prepare, record } from "./record.js";
import * as service from "./service.js";
import { clock, signed, strength } from "./words.js";

const part = (id) => document.getElementById(id);
const AT_ONCE = 2; // recordings on their way at a time; the others wait here
const waiting = [];
const cell = (attributes, ...children) => html("td", { role: "cell", ...attributes }, ...children);
const PRIVACY = {
  service: part("privacy").textContent,
  here: "Recordings stay in this browser: it has loaded the model and judges by itself. You may disconnect from the network now.",
};
let running = 0, count = 0, band = null, limits = null, about = null;
let here = false; // whether this browser judges

function take(files) {
  for (const file of files) {
    const id = `r${count++}`;
    const bar = html("progress", { max: 1, "aria-label": `Progress of ${file.name}` }), words = html("span", { class: "soft" }, "waiting");
    const row = html("tr", { role: "row" }, cell({}, file.name || "recording"), cell({ colspan: 3 }, bar, words));
    part("rows").append(row);
    waiting.push({ id, file, row, bar, words, here }); // as chosen when it was given
  }
  part("list").hidden = count === 0;
  next();
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    running += 1;
    judge(waiting.shift()).finally(() => { running -= 1; next(); });
  }
}

async function judge({ id, file, row, bar, words, here: local }) {
  const tell = (share, text) => {
    words.textContent = text;
    share === null ? bar.removeAttribute("value") : (bar.value = share);
  };
  try {
    if (!local && limits && file.size > limits.max_upload_bytes) throw new service.Refusal(413, `it holds ${file.size} bytes; ${limits.max_upload_bytes} are accepted`);
    const { verdict, prosody } = await (local ? browser : service).judge(file, tell);
    const made = card(id, { verdict, prosody }, file, local);
    place(made, id);
    const name = html("a", { href: `#${id}` }, verdict.name);
    row.replaceChildren(cell({}, name), cell({}, tag(verdict.decision)),
      cell({ class: "number" }, verdict.llr === null ? "" : signed(verdict.llr)), cell({ class: "number" }, verdict.audio.duration_s < 100 ? `${verdict.audio.duration_s.toFixed(1)} s` : clock(verdict.audio.duration_s)));
    announce(`${verdict.name}: ${verdict.decision}`);
  } catch (refusal) {
    if (refusal.status === 401) part("ask-key").hidden = false;
    row.replaceChildren(cell({}, file.name || "recording"), cell({ class: "error", colspan: 3 }, refusal.message));
    announce(`${file.name} could not be judged: ${refusal.message}`);
  }
}

/** Keep cards in the order of the table, however they come. */
function place(made, id) {
  const number = (element) => Number(element.id.slice(1));
  const after = [...part("cards").children].find((other) => number(other) > Number(id.slice(1)));
  part("cards").insertBefore(made, after ?? null);
}

function complain(words) {
  part("problem").textContent = words;
  part("problem").hidden = false;
}

function announce(words) {
  part("status").textContent = words;
}

async function startRecording() {
  let socket = null;
  part("problem").hidden = true;
  const recorder = await record((samples) => {
    part("live-clock").textContent = clock(recorder.seconds());
    if (socket?.readyState === WebSocket.OPEN) socket.send(samples);
  });
  part("live-words").textContent = here ? "Judged in this browser when you stop." : "";
  if (!here) socket = service.openStream(recorder.rate, ({ running: stand, error }) => {
    if (error) part("live-words").textContent = `no running verdict: ${error}`;
    if (!stand) return;
    part("live-words").textContent = stand.llr === null ? "the model is not calibrated" : `${strength(stand.llr).replace("What was heard", "What was heard so far")} The newest seconds alone: ${signed(stand.now.llr)}.`;
    if (stand.llr !== null) part("live-scale").replaceChildren(scale(stand.llr, band, "evidence so far"));
  });
  part("live").hidden = false;
  part("record").disabled = true;
  part("stop").focus();
  part("stop").onclick = async () => {
    socket?.close();
    part("live").hidden = true;
    part("record").disabled = false;
    part("live-scale").replaceChildren();
    const file = await recorder.stop();
    take([file]);
    part("results").focus();
  };
}

async function introduce() {
  try {
    about = await service.models();
    const model = about.models[0];
    [band, limits] = [model.calibration.band ?? null, about.limits];
    tellLimits();
    const corpora = model.trained_on.corpora?.join(", ");
    offerHere();
    part("model").textContent = `Model ${model.name} (${model.sha256.slice(0, 16)}), ringtrue ${about.ringtrue}${corpora ? `, trained on ${corpora}` : ""}.`;
  } catch (refusal) {
    if (refusal.status === 401) part("ask-key").hidden = false;
    else complain(`The service does not answer as it should: ${refusal.message}.`);
  }
}

function tellLimits() {
  part("limits").textContent = here ? `Formats that this browser decodes, up to ${browser.LONGEST_S / 60} minutes.`
    : `Any audio or video format, up to ${Math.round(limits.max_upload_bytes / 2 ** 20)} MiB and ${limits.max_job_s / 3600} hours.`;
}

/** Say whether this browser could judge, and what it would load for that. */
function offerHere() {
  const missing = !about.browser ? "This service came without the runtime for browsers, so recordings are judged on the service. Whoever runs it can add it (14 MB, “make browser”)."
    : !globalThis.crypto?.subtle ? "A browser judges by itself on https or localhost only; here recordings are judged on the service." : null;
  part("here").disabled = missing !== null;
  part("here-words").textContent = missing ?? `Loads ${Math.round((about.browser.bytes + about.models[0].bytes) / 1e6)} MB once. Leaves out pitch, figures of the voice and the likely source.`;
}

async function switchHere() {
  const box = part("here"), words = part("here-words");
  here = false;
  if (box.checked) {
    box.disabled = true;
    try {
      await browser.load(about, service.fetchPart, (share) => { words.textContent = `loading, ${Math.round(100 * Math.min(1, share))} %`; });
      await prepare();
      here = true;
      words.textContent = "Ready: nothing leaves this browser from here on.";
    } catch (error) {
      box.checked = false;
      words.textContent = `This browser cannot judge by itself: ${error.message}. Recordings are judged on the service.`;
    }
    box.disabled = false;
  } else offerHere();
  tellLimits();
  part("privacy").textContent = here ? PRIVACY.here : PRIVACY.service;
}

part("here").addEventListener("change", switchHere);
part("files").addEventListener("change", (event) => { take([...event.target.files]); event.target.value = ""; });
part("record").addEventListener("click", () => startRecording().catch((error) => {
  complain(`The microphone cannot be used: ${error.message}. Allow it in the browser, and use https or localhost.`);
}));
part("ask-key").addEventListener("submit", (event) => {
  event.preventDefault();
  service.useKey(part("key").value);
  part("ask-key").hidden = true;
  introduce();
});
document.addEventListener("paste", (event) => take([...event.clipboardData.files]));
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => { event.preventDefault(); part("drop").classList.add("over"); });
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => part("drop").classList.remove("over"));
document.addEventListener("drop", (event) => { event.preventDefault(); take([...event.dataTransfer.files]); });
introduce();
