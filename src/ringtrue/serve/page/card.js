// A verdict, and how it is spoken, -> one card of the page.

import { fitted, pitch, place, scale, timeline } from "./charts.js";
import { saveJson, saveReport } from "./download.js";
import { html } from "./elements.js";
import { DECISIONS, figure, inWords, operatingPoint, sourceInWords } from "./words.js";

const MEASURED = {
  speech_s: ["speech", "s", 1], speech_share: ["share that is speech", "%", 100], level_db: ["level of the speech", "dBFS", 1],
  snr_db: ["speech over background", "dB", 1], bandwidth_hz: ["bandwidth", "kHz", 1e-3], full_scale_share: ["samples at full scale", "%", 100],
  pauses_per_min: ["pauses a minute", "", 1], pause_mean_s: ["mean pause", "s", 1], pause_sd_s: ["spread of the pauses", "s", 1],
};
const SPOKEN = {
  pitch_hz: ["median pitch", "Hz", 1], pitch_sd_semitones: ["pitch movement", "semitones", 1], final_lowering_semitones: ["pitch at the end", "semitones", 1],
  jitter_cents: ["pitch unsteadiness", "cents", 1], shimmer_db: ["level unsteadiness", "dB", 1], periodicity: ["periodicity", "", 1],
  speech_rate_hz: ["syllables a second", "", 1], rhythm_npvi: ["unevenness of the rhythm", "%", 1],
};

/** Give the tag of a decision. */
export function tag(decision) {
  const { words, kind } = DECISIONS[decision];
  return html("span", { class: `tag ${kind}` }, words);
}

/** Make the card of a judged recording; `sound` is the recording itself, to be played; `here` where this browser judged. */
export function card(id, { verdict, prosody }, sound, here) {
  const audio = html("audio", { controls: true, preload: "metadata", src: URL.createObjectURL(sound), "aria-label": `Play ${verdict.name}` });
  const unplayable = html("p", { class: "soft", hidden: true }, "This browser cannot play this format; the verdict stands all the same.");
  audio.addEventListener("error", () => { unplayable.hidden = false; audio.hidden = true; });
  const band = verdict.operating_point.band;
  const element = html("article", { class: "card", id, tabindex: -1, "aria-labelledby": `${id}-name` },
    html("h2", { id: `${id}-name` }, `${verdict.name} `, tag(verdict.decision)),
    html("p", { class: "verdict" }, inWords(verdict)),
    verdict.warnings.length > 0 && [html("h3", {}, "Why to trust it less"), html("ul", { class: "warnings" }, verdict.warnings.map((one) => html("li", {}, one)))],
    verdict.llr !== null && [html("h3", {}, "How strong the evidence is"), fitted(() => scale(verdict.llr, band))],
    html("p", { class: "soft" }, operatingPoint(verdict.operating_point)),
    html("h3", {}, "Where the evidence is"), fitted(() => timeline(verdict, audio)),
    html("p", { class: "soft" }, "Grey: the sound. Below it the evidence of each piece: ", html("span", { class: "real" }, "up for a person"), ", ", html("span", { class: "made" }, "down for a machine"),
      verdict.regions.length > 0 && "; shaded: it stands out as machine-made", ". ", html("span", { class: "page-only" }, "Click to listen.")),
    regions(verdict, audio), audio, unplayable,
    html("h3", {}, "What may have made it"), html("p", {}, sourceInWords(verdict.source, here)), nearest(verdict.source),
    spoken(prosody, verdict.audio.duration_s, here),
    html("h3", {}, "Measured, without the model"), measurements(MEASURED, verdict.evidence, verdict.percentiles),
    details(verdict),
    html("div", { class: "actions" },
      html("button", { type: "button", class: "button", onclick: () => saveReport(element, verdict) }, "Save report (HTML)"),
      html("button", { type: "button", class: "button", onclick: () => saveJson({ verdict, prosody }, verdict.name) }, "Save data (JSON)")));
  return element;
}

function regions(verdict, audio) {
  if (!verdict.regions.length) return null;
  return html("p", { class: "regions" }, "Stands out as machine-made: ", verdict.regions.slice(0, 20).map((one) =>
    html("button", { type: "button", class: "button", onclick: () => { audio.currentTime = one.start_s; audio.play().catch(() => {}); } },
      `${one.start_s.toFixed(1)} to ${one.end_s.toFixed(1)} s`)));
}

function nearest(source) {
  if (!source) return null;
  const rows = source.nearest.map((one) => html("tr", {}, html("th", { scope: "row" }, one.name), html("td", {}, `${Math.round(one.percentile)} % of the clips that the tracer knows lie nearer to their own system`)));
  return html("table", {}, html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "nearest systems"), html("th", { scope: "col" }, "how near"))), html("tbody", {}, rows));
}

function spoken(prosody, duration, here) {
  if (here) return [html("h3", {}, "How it is spoken"), html("p", { class: "soft" }, "Judged in this browser, which neither draws pitch nor measures the voice; the service does.")];
  if (!prosody || !prosody.pitch_hz.length) return null;
  const limited = prosody.measured_s < duration - 1 ? ` Figures of the voice: from the first ${prosody.measured_s.toFixed(0)} s.` : "";
  return [
    html("h3", {}, "How it is spoken"),
    prosody.pitch_hz.every((hz) => hz === null) ? html("p", {}, "No voice with a pitch was found.") : fitted(() => pitch(prosody, duration)),
    html("p", { class: "soft" }, `Dots: pitch. Shaded: pauses.${limited} Prosody alone convicts nobody: people differ widely.`),
    measurements(SPOKEN, prosody.statistics, prosody.percentiles),
  ];
}

function measurements(named, values, percentiles) {
  const placed = Object.keys(named).some((name) => name in percentiles);
  const rows = Object.entries(named).filter(([name]) => name in values).map(([name, [words, unit, factor]]) =>
    html("tr", {}, html("th", { scope: "row" }, words), html("td", { class: "number" }, `${figure(values[name] * factor)} ${unit}`),
      placed && html("td", {}, name in percentiles && place(percentiles[name]))));
  return html("div", { class: "wide" }, html("table", { class: "measured" },
    html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "measured"), html("th", { scope: "col", class: "number" }, "value"), placed && html("th", { scope: "col" }, "among real speech"))),
    html("tbody", {}, rows)),
    !placed && html("p", { class: "soft" }, "This model came without a reference of real speech, so there are no percentiles."));
}

function details({ audio, model }) {
  const facts = {
    checked: `${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`,
    "decoded from": `${audio.container}, ${audio.codec}, ${audio.native_rate_hz} Hz, ${audio.channels} channel${audio.channels === 1 ? "" : "s"}, ${audio.duration_s.toFixed(2)} s`,
    "sha256 of the file": audio.sha256, model: `${model.name}, ringtrue ${model.ringtrue}`, "sha256 of the model": model.sha256,
  };
  return html("details", {}, html("summary", {}, "Details for the record"),
    html("dl", {}, Object.entries(facts).map(([name, value]) => [html("dt", {}, name), html("dd", {}, value)]).flat()));
}
