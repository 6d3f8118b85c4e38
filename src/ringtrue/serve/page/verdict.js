// Window scores and measurements -> a verdict; the rules of ringtrue.inference.judge.

import { interpolate, percentiles } from "./evidence.js";
import { RATE_HZ } from "./sound.js";
import { mean, spanOf, timeline } from "./windows.js";

export const ENOUGH_SPEECH_S = 1;
const EXPERIENCE = {
  bandwidth_hz: (hz) => `a bandwidth of ${hz.toFixed(0)} Hz`, level_db: (db) => `a level of ${db.toFixed(1)} dB`,
  snr_db: (db) => `speech ${db.toFixed(1)} dB over the background`,
};
const HARSH = ["mulaw", "alaw", "gsm"];

/** Give the function from raw scores to log-likelihood ratios; null where the model never was calibrated. */
function calibration({ kind = "affine", map }) {
  if (map && kind === "affine") return (score) => map.slope * score + map.offset;
  if (map && kind === "monotone") return (score) => interpolate(score, map.scores, map.llrs);
  return null;
}

/** Give the raw score that favours neither side: that of a window in which nothing is heard. */
export function evenScore({ kind = "affine", map }) {
  if (map && kind === "affine") return -map.offset / map.slope;
  if (map && kind === "monotone") return interpolate(0, map.llrs, map.scores);
  return 0;
}

/** Judge a recording; `heard` holds its name, starts, scores, length, what was measured, audio and warnings. */
export function judge(model, { name, starts, scores, length, measured, envelope, audio, warnings }) {
  const point = model.calibration, toLlr = calibration(point) ?? (() => null);
  const score = mean(scores), llr = toLlr(score);
  const places = percentiles(model.reference, measured);
  const regions = llr === null ? [] : findRegions(starts, scores.map(toLlr), length, point.band.rate);
  const [decision, reasons] = decide(llr, point.band, measured, regions);
  return {
    schema: 1, name, decision, llr, score, regions, evidence: measured, percentiles: places, source: null, envelope,
    segments: timeline(starts, scores, length).map(({ start_s, end_s, score: own }) => ({ start_s, end_s, llr: toLlr(own) })),
    warnings: [...warnings, ...reasons, ...doubts(audio.codec, measured, places, model.reference)],
    operating_point: point, model: { name: model.name, sha256: model.sha256, ringtrue: model.ringtrue },
    audio: { ...audio, duration_s: length / RATE_HZ },
  };
}

function findRegions(starts, llrs, length, rate) {
  const found = [];
  llrs.forEach((llr, at) => {
    if (!(llr < -Math.log(llrs.length / rate))) return;
    const [start_s, end_s] = spanOf(starts[at], length), last = found.at(-1);
    if (last && start_s <= last.end_s) Object.assign(last, { end_s, llrs: [...last.llrs, llr] });
    else found.push({ start_s, end_s, llrs: [llr] });
  });
  return found.map((one) => ({ start_s: one.start_s, end_s: one.end_s, llr: mean(one.llrs) }));
}

function decide(llr, band, measured, regions) {
  if (llr === null) return ["inconclusive", ["the model is not calibrated: its score is no evidence by itself"]];
  if (measured.speech_s < ENOUGH_SPEECH_S) return ["inconclusive", [`only ${measured.speech_s.toFixed(1)} s of speech: too little for a decision`]];
  const word = llr < band.lower ? "spoof" : llr >= band.upper ? "bonafide" : "inconclusive";
  if (word !== "spoof" && regions.length) {
    const where = regions.slice(0, 5).map((one) => `${one.start_s.toFixed(1)}-${one.end_s.toFixed(1)} s`).join(", ");
    const more = regions.length <= 5 ? "" : ` and ${regions.length - 5} more`;
    return ["spoof", [`spoof in part: ${where}${more}; the recording as a whole reads as ${word}`]];
  }
  return [word === "bonafide" ? "bona fide" : word, []];
}

function doubts(codec, measured, places, reference) {
  const found = [], silent = measured.speech_s === 0; // then there is no channel to speak of
  if (measured.bandwidth_hz < 3_800 && !silent) found.push(`narrow band: nothing above ${(measured.bandwidth_hz / 1000).toFixed(1)} kHz`);
  if (measured.full_scale_share > 0.001) found.push(`probably clipped: ${(100 * measured.full_scale_share).toFixed(1)}% of the samples at full scale`);
  if (HARSH.includes(codec)) found.push(`telephone codec ${codec}: it removes traces that the model listens for`);
  for (const [name, words] of Object.entries(EXPERIENCE)) {
    const place = places[name];
    if (silent || place === undefined || (place > 0.5 && place < 99.5)) continue;
    found.push(`outside what the model was trained on: ${words(measured[name])} is ${place <= 0.5 ? "below" : "above"} that of 99.5% of ${reference.measured_on}`);
  }
  return found;
}
