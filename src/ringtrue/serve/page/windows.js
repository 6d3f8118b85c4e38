// Samples -> windows of four seconds, and their scores -> a timeline; the rule of ringtrue.windows.

import { RATE_HZ } from "./sound.js";

const WINDOW = 4 * RATE_HZ;
const HOP = 3 * RATE_HZ;

/** Give where windows start: every `HOP`, and a last one flush with the end. */
export function windowStarts(length) {
  const starts = [];
  for (let at = 0; at + WINDOW <= length; at += HOP) starts.push(at);
  if (!starts.length || starts.at(-1) + WINDOW < length) starts.push(Math.max(0, length - WINDOW));
  return starts;
}

/** Cut one window; a recording shorter than it is repeated. */
export function windowAt(samples, start) {
  if (samples.length >= WINDOW) return samples.slice(start, start + WINDOW);
  return Float32Array.from({ length: WINDOW }, (_, at) => samples[at % samples.length]);
}

/** Tell whether at least 0.3 s of a window sounds, within 40 dB of its loudest 20 ms. */
export function isHeard(window) {
  const frame = RATE_HZ / 50;
  const power = Array.from({ length: Math.floor(window.length / frame) }, (_, at) =>
    window.subarray(at * frame, (at + 1) * frame).reduce((sum, value) => sum + value * value, 0));
  const least = 1e-4 * Math.max(...power);
  return power.filter((one) => one > least).length >= 15;
}

/** Give the seconds that a window covers. */
export const spanOf = (start, length) => [start / RATE_HZ, Math.min(start + WINDOW, length) / RATE_HZ];

/** Spread window scores over the recording: `{ start_s, end_s, score }`, the mean of the windows that cover a piece. */
export function timeline(starts, scores, length) {
  const ends = starts.map((start) => Math.min(start + WINDOW, length));
  const edges = [...new Set([...starts, ...ends])].sort((a, b) => a - b);
  return edges.slice(0, -1).map((left, index) => {
    const covering = scores.filter((_, at) => starts[at] <= left && ends[at] > left);
    return { start_s: left / RATE_HZ, end_s: edges[index + 1] / RATE_HZ, score: mean(covering) };
  });
}

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
