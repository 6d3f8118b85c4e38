// A verdict -> sentences for a person who has never heard of a likelihood ratio.

import { ENOUGH_SPEECH_S } from "./verdict.js";

export const DECISIONS = {
  "bona fide": { words: "sounds human", kind: "real" },
  spoof: { words: "sounds machine-made", kind: "made" },
  inconclusive: { words: "no decision", kind: "open" },
};

/** Say what a verdict means: what was decided, how strong the evidence is, and why there may be no decision. */
export function inWords(verdict) {
  const { llr, decision, regions } = verdict;
  if (llr === null) return "This model has never been calibrated: its score is no evidence by itself, and nothing is decided.";
  const lower = verdict.operating_point.band?.lower ?? -Infinity;
  const evidence = strength(llr);
  if (decision === "inconclusive") return `${evidence} ${verdict.evidence.speech_s < ENOUGH_SPEECH_S ? "There is too little speech" : "Evidence as weak as this is wrong too often"} for a decision.`;
  if (decision === "spoof" && regions.length && llr >= lower)
    return `As a whole: ${evidence} But some of it stands out as machine-made, more than chance would find: see the marked parts.`;
  return `${evidence} It is called ${decision === "spoof" ? "machine-made (spoof)" : "human (bona fide)"}.`;
}

/** Say how strong evidence is. */
export function strength(llr) {
  const odds = Math.exp(Math.min(Math.abs(llr), 12));
  if (odds < 1.5) return "What was heard fits a person and a machine about equally well.";
  const [one, other] = llr > 0 ? ["a person", "a machine"] : ["a machine", "a person"];
  return `What was heard is about ${rounded(odds)} times more likely from ${one} than from ${other}, as far as the model's development recordings can tell.`;
}

/** Say at which limits was decided, and how often that was wrong, where it was measured. */
export function operatingPoint(point) {
  if (!point.band) return "Nothing was decided: the model is not calibrated.";
  const { lower, upper } = point.band;
  const limits = `The number is a log-likelihood ratio (LLR). Below ${signed(lower)} a recording is called machine-made, from ${signed(upper)} on human; in between nothing is decided.`;
  if (point.bonafide_rejection_rate == null) return `${limits} Error rates: measured on ${point.measured_on}.`;
  return `${limits} How often that was wrong: ${percent(point.bonafide_rejection_rate)} of human recordings were called machine-made, and ${percent(point.spoof_acceptance_rate)} of machine-made ones human. Measured on ${point.measured_on}.`;
}

/** Say what made it, or that it is not known; `here` where this browser judged. */
export function sourceInWords(source, here) {
  if (!source) return here ? "Not looked for: only the service can." : "Not looked for: the recording was not judged machine-made.";
  if (!source.is_known) return "Unknown: it is unlike every system that the tracer knows, or lies between several.";
  const chance = (name) => (source.probabilities[name] == null ? "" : ` (probability ${source.probabilities[name].toFixed(2)})`);
  return `Most like the acoustic model ${source.acoustic_model}${chance("acoustic_model")}, which turns text into a sketch of the sound, and the vocoder ${source.vocoder}${chance("vocoder")}, which turns the sketch into sound. A lead and no finding: systems that the tracer does not know are often taken for one that it does.`;
}

export const signed = (value) => (isEven(value) ? "" : value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
export const isEven = (llr) => Math.abs(llr) < 0.005; // as it is shown: for neither side
export const figure = (value) => String(Number(value.toPrecision(3))).replace("-", "−");
export const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

/** Give a time as a person reads it. */
export function clock(seconds) {
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`;
  const [minutes, rest] = [Math.floor(Math.round(seconds) / 60), String(Math.round(seconds) % 60).padStart(2, "0")];
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

function rounded(odds) {
  const digits = 10 ** Math.max(0, Math.floor(Math.log10(odds)) - 1);
  return odds < 10 ? odds.toFixed(0) : (Math.round(odds / digits) * digits).toLocaleString("en");
}
