// A file, and what the browser decodes of it -> mono samples at 16 kHz, by the rules of ringtrue.audio.

export const RATE_HZ = 16_000;
const RATES_HZ = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000];
const FALLBACK_HZ = 48_000; // of what says no rate that is known here; the browser brings it to this one
const ABSURD_PEAK = 8; // floats are at most a little over 1; beyond this they are unscaled integers
const WAV_CODECS = { 1: "pcm", 2: "adpcm", 3: "pcm_float", 6: "alaw", 7: "mulaw" };

/** Read from the first bytes of a file what it is; `rate` is null where they do not say. */
export function sniff(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at, length = 4) => String.fromCharCode(...bytes.subarray(at, at + length));
  if (word(0) === "RIFF" && word(8) === "WAVE") {
    for (let at = 12; at + 24 <= bytes.length; at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) % 2)) {
      if (word(at) !== "fmt ") continue;
      const tag = view.getUint16(at + 8, true);
      const bits = view.getUint16(at + 22, true), kind = tag === 0xfffe && at + 34 <= bytes.length ? view.getUint16(at + 32, true) : tag;
      const codec = WAV_CODECS[kind] ?? `format ${kind}`;
      return { container: "wav", codec: codec === "pcm" ? `pcm_${bits}` : codec, rate: view.getUint32(at + 12, true) };
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
  const rate = RATES_HZ.includes(said.rate) ? said.rate : FALLBACK_HZ; // decodeAudioData brings all to its context's rate
  let buffer;
  try {
    buffer = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
  } catch {
    throw new Error(`this browser cannot decode ${name}; the service reads more formats`);
  }
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, index) => buffer.getChannelData(index));
  return { ...said, rate, channels };
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

const HALF_WIDTH = 90; // samples of the lower rate on either side: passes 91 % of its band, stops at its edge
const CUTOFF = 0.9565; // of that band
const KAISER = 12.3; // stops by 120 dB

/** Bring samples to 16 kHz with a windowed sinc, the same on every machine; `(T,)` -> `(round(T · 16000 / rate),)`. */
export function resample(mono, rate) {
  if (rate === RATE_HZ) return mono;
  const common = divisor(rate, RATE_HZ), up = RATE_HZ / common, down = rate / common;
  const scale = Math.min(1, up / down), half = Math.ceil(HALF_WIDTH / scale); // in samples of the input
  const phases = Array.from({ length: up }, (_, phase) => taps(phase / up, half, CUTOFF * scale));
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
function taps(offset, half, cutoff) {
  const row = Float64Array.from({ length: 2 * half }, (_, index) => {
    const x = index - half + 1 - offset, inside = 1 - (x / half) ** 2;
    const sinc = x === 0 ? cutoff : Math.sin(Math.PI * cutoff * x) / (Math.PI * x);
    return inside <= 0 ? 0 : sinc * bessel(KAISER * Math.sqrt(inside));
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
