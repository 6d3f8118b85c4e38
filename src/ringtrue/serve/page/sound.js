// A file, and what the browser decodes of it -> mono samples at 16 kHz, by the rules of ringtrue.audio.

export const RATE_HZ = 16_000;
// Rate -> half the width of a Kaiser window, in samples of the lower rate, and its beta: what soxr's HQ filters come to,
// to 7 digits for the plain ratios and to 3 or 4 for 96 kHz and the multiples of 11025 Hz, which it takes in stages.
const FILTERS = {
  8_000: [97.25, 13.04], 11_025: [110.46, 16.06], 12_000: [97.125, 13.04], 16_000: null, 22_050: [109.67, 15.98], 24_000: [96.8333, 13.04],
  32_000: [97.25, 13.04], 44_100: [109.67, 15.98], 48_000: [96.8333, 13.04], 88_200: [115.79, 16.95], 96_000: [101.5, 13.71],
};
const CUTOFF = 0.95687; // of the lower rate's band: passes 91 % of it, stops at its edge
const FALLBACK_HZ = 48_000; // of what says no rate that is known here; the browser brings it to this one
const ABSURD_PEAK = 8; // floats are at most a little over 1; beyond this they are unscaled integers
const WAV_CODECS = { 1: (bits) => `pcm_${bits === 8 ? "u8" : bits}`, 3: (bits) => `pcm_f${bits}`, 6: () => "alaw", 7: () => "mulaw" };

/** Read from the first bytes of a file what it is; `rate` is null where they do not say. */
export function sniff(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at, length = 4) => String.fromCharCode(...bytes.subarray(at, at + length));
  if (word(0) === "RIFF" && word(8) === "WAVE") {
    for (let at = 12; at + 24 <= bytes.length; at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) % 2)) {
      if (word(at) !== "fmt ") continue;
      const tag = view.getUint16(at + 8, true);
      const extensible = tag === 0xfffe && at + 34 <= bytes.length, kind = extensible ? view.getUint16(at + 32, true) : tag;
      const codec = WAV_CODECS[kind]?.(view.getUint16(at + 22, true)) ?? `format ${kind}`;
      return { container: extensible ? "wavex" : "wav", codec, rate: view.getUint32(at + 12, true) };
    }
  }
  if (word(0) === "fLaC" && bytes.length > 21) return { container: "flac", codec: "flac", rate: view.getUint32(18) >>> 12 };
  if (word(0) === "OggS" && word(29, 6) === "vorbis") return { container: "ogg", codec: "vorbis", rate: view.getUint32(40, true) };
  if (word(0) === "OggS" && word(28, 8) === "OpusHead") return { container: "ogg", codec: "opus", rate: 48_000 };
  return { container: word(4) === "ftyp" ? "mp4" : "other", codec: "unknown", rate: null };
}

/** Decode a file with the browser: `{ channels: [Float32Array], rate, container, codec }`. */
export async function decode(bytes, name) {
  const said = sniff(new Uint8Array(bytes, 0, Math.min(bytes.byteLength, 4096)));
  const rate = said.rate in FILTERS ? said.rate : FALLBACK_HZ; // decodeAudioData brings all to its context's rate
  let buffer;
  try {
    buffer = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
  } catch {
    throw new Error(`this browser cannot decode ${name}; the service reads more formats`);
  }
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, index) => buffer.getChannelData(index));
  for (const top of [0x7fff, 0x7f]) even(channels, top);
  return { ...said, rate, channels };
}

// Chromium divides what 16 or 8 bits hold by 32767 or 127 where it is positive and by one more where it is not: undone,
// as both are the same sound to everybody else.
function even(channels, top) {
  const fits = (value) => {
    const whole = Math.abs(value) * (value > 0 ? top : top + 1);
    return Math.abs(whole - Math.round(whole)) <= 1e-6 * whole; // the two grids lie 30 times as far apart
  };
  if (!channels.every((channel) => channel.every(fits))) return;
  for (const channel of channels) channel.forEach((value, at) => { if (value > 0) channel[at] = Math.round(value * top) / (top + 1); });
}

/** Check samples, keep them within full scale and average their channels: `{ mono, clipped }`, a share of the samples. */
export function toMono(channels, name) {
  let peak = 0, sum = 0;
  for (const channel of channels) for (const value of channel) { peak = Math.max(peak, Math.abs(value)); sum += value; }
  if (!Number.isFinite(peak) || !Number.isFinite(sum)) throw new Error(`${name} holds samples that are not finite; write it again without them`);
  if (peak > ABSURD_PEAK) throw new Error(`${name} holds samples up to ${peak.toPrecision(4)}; accepted: -1 to 1. Divide them by their full scale`);
  const length = channels[0].length, mono = new Float32Array(length);
  let beyond = 0;
  for (const channel of channels) {
    for (let at = 0; at < length; at++) {
      if (Math.abs(channel[at]) > 1) beyond += 1;
      mono[at] += Math.max(-1, Math.min(1, channel[at]));
    }
  }
  if (channels.length > 1) for (let at = 0; at < length; at++) mono[at] /= channels.length;
  return { mono, clipped: beyond / (length * channels.length) };
}

/** Bring samples to 16 kHz with the filter that the service uses, the same on every machine; `(T,)` -> `(round(T · 16000 / rate),)`. */
export function resample(mono, rate) {
  if (rate === RATE_HZ) return mono;
  const common = divisor(rate, RATE_HZ), up = RATE_HZ / common, down = rate / common;
  const scale = Math.min(1, up / down), width = FILTERS[rate][0] / scale, half = Math.ceil(width); // in samples of the input
  const phases = Array.from({ length: up }, (_, phase) => taps(phase / up, half, width, CUTOFF * scale, FILTERS[rate][1]));
  const made = new Float32Array(Math.round((mono.length * up) / down));
  for (let at = 0; at < made.length; at++) {
    const centre = Math.floor((at * down) / up), row = phases[(at * down) % up];
    const first = Math.max(0, centre - half + 1), last = Math.min(mono.length - 1, centre + half);
    let sum = 0;
    for (let from = first; from <= last; from++) sum += mono[from] * row[from - centre + half - 1];
    made[at] = Math.max(-1, Math.min(1, sum));
  }
  return made;
}

/** Weights of the samples from `half - 1` before to `half` after a place that lies `offset` behind one of them. */
function taps(offset, half, width, cutoff, beta) {
  const row = Float64Array.from({ length: 2 * half }, (_, index) => {
    const x = index - half + 1 - offset, inside = 1 - (x / width) ** 2;
    const sinc = x === 0 ? cutoff : Math.sin(Math.PI * cutoff * x) / (Math.PI * x);
    return inside <= 0 ? 0 : sinc * bessel(beta * Math.sqrt(inside));
  });
  const sum = row.reduce((total, value) => total + value, 0);
  return row.map((value) => value / sum); // a constant stays what it is
}

function bessel(x) {
  let term = 1, sum = 1;
  for (let k = 1; term > 1e-12 * sum; k++) sum += (term *= (x / (2 * k)) ** 2);
  return sum;
}

const divisor = (a, b) => (b === 0 ? a : divisor(b, a % b));
