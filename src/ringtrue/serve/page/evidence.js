// Samples -> measurements that a person can check; the rules of ringtrue.inference.evidence and speech.

import { RATE_HZ } from "./sound.js";
import { mean } from "./windows.js";

const FRAME = 320; // samples: 20 ms
const FRAME_S = 0.02;
const SILENCE_DB = -60;
const FULL = Math.fround(0.99);
const POINTS = 120; // of the envelope

const db = (power) => 10 * Math.log10(power + 1e-12);
const spread = (values) => Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2)));

/** Measure a recording: `{ summary, envelope }`, as in a verdict. */
export function measure(samples) {
  const count = Math.floor(samples.length / FRAME);
  if (!count) return { summary: { speech_s: 0, speech_share: 0, bandwidth_hz: 0, level_db: SILENCE_DB }, envelope: [] };
  const levels = [], flatness = [], peaks = [];
  const spectrum = new Float64Array(FRAME / 2 + 1);
  let full = 0;
  for (let index = 0; index < count; index++) {
    const frame = samples.subarray(index * FRAME, (index + 1) * FRAME);
    let energy = 0, peak = 0;
    for (const value of frame) {
      energy += value * value;
      peak = Math.max(peak, Math.abs(value));
      if (Math.abs(value) >= FULL) full += 1;
    }
    levels.push(db(energy / FRAME));
    peaks.push(peak);
    const power = powerSpectrum(frame);
    power.forEach((value, bin) => { spectrum[bin] += value; });
    const voice = Array.from(power.subarray(5, 81), (value) => value + 1e-12); // 250 Hz to 4 kHz
    flatness.push(Math.exp(mean(voice.map(Math.log))) / mean(voice));
  }
  return { summary: summary(samples.length, levels, flatness, spectrum, full), envelope: envelope(peaks) };
}

function summary(length, levels, flatness, spectrum, full) {
  const speech = findSpeech(levels, flatness);
  const power = levels.map((level) => 10 ** (level / 10));
  const spoken = power.filter((_, at) => speech.frames[at]), rest = power.filter((_, at) => !speech.frames[at]);
  const least = Math.max(...spectrum) * 1e-6; // 60 dB below the strongest
  const speech_s = spoken.length * FRAME_S;
  const found = {
    speech_s, speech_share: spoken.length / levels.length,
    bandwidth_hz: (Math.max(0, spectrum.findLastIndex((value) => value > least)) * RATE_HZ) / FRAME,
    level_db: spoken.length ? db(mean(spoken)) : SILENCE_DB, full_scale_share: full / length,
  };
  if (speech_s >= 1) {
    found.pauses_per_min = (60 * speech.pauses.length) / (speech_s + speech.pauses.reduce((sum, one) => sum + one, 0));
    if (rest.length >= 10) found.snr_db = Math.min(80, found.level_db - db(mean(rest)));
  }
  if (speech.pauses.length >= 2) {
    found.pause_mean_s = mean(speech.pauses);
    found.pause_sd_s = spread(speech.pauses);
  }
  return found;
}

/** Tell speech from silence, steady noise and steady tones: `{ frames, pauses }`. */
function findSpeech(levels, flatness) {
  const [floor, loud] = [quantile(levels, 0.1), quantile(levels, 0.95)];
  const standsOut = Math.min(floor + 6, Math.max(floor + 1, loud - 12));
  const active = levels.map((level) => level > Math.max(SILENCE_DB, loud - 35, standsOut));
  const reach = 12, gap = 10; // frames: 0.24 s to a consonant; shorter silences are stops and no pauses
  const near = new Array(levels.length).fill(false);
  active.forEach((is, at) => { if (is && flatness[at] < 0.35) near.fill(true, Math.max(0, at - reach), at + reach + 1); });
  const frames = active.map((is, at) => is && near[at]);
  const pauses = [];
  const first = frames.indexOf(true), last = frames.lastIndexOf(true);
  for (let start = first; start >= 0 && start < last; start++) {
    if (frames[start]) continue;
    const end = frames.indexOf(true, start);
    if (end - start < gap) frames.fill(true, start, end);
    else pauses.push((end - start) * FRAME_S);
    start = end;
  }
  return { frames, pauses };
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort(), place = share * (sorted.length - 1), low = Math.floor(place);
  return sorted[low] + (place - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

function envelope(peaks) {
  const count = Math.min(POINTS, peaks.length), edge = (part) => Math.floor((part * peaks.length) / count);
  return Array.from({ length: count }, (_, part) => Number(Math.max(...peaks.slice(edge(part), edge(part + 1))).toFixed(3)));
}

const HANN = Float64Array.from({ length: FRAME }, (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / (FRAME - 1)));
const COSINE = Float64Array.from({ length: FRAME }, (_, at) => Math.cos((2 * Math.PI * at) / FRAME));

/** 320 is no power of two, and frames are short: the plain sum, folded in half by the symmetry of sine and cosine. */
function powerSpectrum(frame) {
  const half = FRAME / 2, even = new Float64Array(half + 1), odd = new Float64Array(half + 1);
  even[0] = frame[0] * HANN[0];
  even[half] = frame[half] * HANN[half];
  for (let at = 1; at < half; at++) {
    const one = frame[at] * HANN[at], other = frame[FRAME - at] * HANN[FRAME - at];
    even[at] = one + other;
    odd[at] = one - other;
  }
  const power = new Float64Array(half + 1);
  for (let bin = 0; bin <= half; bin++) {
    let real = 0, imaginary = 0;
    for (let at = 0, turn = 0; at <= half; at++, turn = (turn + bin) % FRAME) {
      real += even[at] * COSINE[turn];
      imaginary += odd[at] * COSINE[(turn + 240) % FRAME]; // a quarter turn back: the sine
    }
    power[bin] = real * real + imaginary * imaginary;
  }
  return power;
}

const RANKS = [0, 0.5, 1, 2.5, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 97.5, 99, 99.5, 100];

/** Place measurements among real speech, 0 to 100. */
export function percentiles(reference, measured) {
  const placed = {};
  for (const [name, values] of Object.entries(reference?.values ?? {})) {
    if (name in measured) placed[name] = Number(((interpolate(measured[name] - 1e-9, values, RANKS) + interpolate(measured[name] + 1e-9, values, RANKS)) / 2).toFixed(1));
  }
  return placed;
}

/** Go linearly between knots that rise; flat beyond the first and the last. */
export function interpolate(x, knots, values) {
  if (x <= knots[0]) return values[0];
  if (x >= knots.at(-1)) return values.at(-1);
  const after = knots.findIndex((knot) => knot > x);
  const share = (x - knots[after - 1]) / (knots[after] - knots[after - 1]);
  return values[after - 1] + share * (values[after] - values[after - 1]);
}
