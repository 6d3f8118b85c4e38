// A recording -> its verdict, judged inside this browser: once `load` is done, nothing is asked of anybody.

import { decode } from "./sound.js";

export const LONGEST_S = 30 * 60; // decoded, it lies in memory as a whole
let worker = null, count = 0;
const asked = new Map();

/** Load the runtime and the model; `fetchPart(path, tell)` gives the bytes of a path, `tell` gets a share and words. */
export async function load(about, fetchPart, tell) {
  if (worker) return;
  const [model] = about.models, folder = `/page/runtime/${about.browser.version}`;
  const wasm = await fetchPart(`${folder}/ort-wasm-simd-threaded.wasm`, (got) => tell(got / about.browser.bytes));
  const network = await fetchPart(`/v1/models/${model.sha256}`, () => {});
  if ((await sha256(network)) !== model.sha256) throw new Error("the model that came is not the one that was promised; load the page again");
  const started = new Worker("/page/browser_worker.js", { type: "module" });
  started.onmessage = ({ data: { id, share, answer, error } }) => {
    const { done, fail, hear } = asked.get(id);
    if (share !== undefined) return hear(share);
    asked.delete(id);
    error === undefined ? done(answer) : fail(new Error(error));
  };
  worker = started;
  try {
    await ask("load", { folder, wasm, network, about: model }, [wasm, network]);
  } catch (error) {
    worker.terminate();
    worker = null;
    throw error;
  }
}

/** Judge a recording; `tell` gets `(share or null, words)`. */
export async function judge(file, tell) {
  const name = file.name || "recording";
  tell(null, "decoding");
  const duration = await durationOf(file);
  if (duration > LONGEST_S) throw new Error(`it lasts ${Math.round(duration / 60)} minutes; a browser takes up to ${LONGEST_S / 60}, the service takes more`);
  const content = await file.arrayBuffer(), digest = await sha256(content); // decoding takes the bytes away
  const { channels, rate, container, codec } = await decode(content, name);
  const audio = { sha256: digest, container, codec, native_rate_hz: rate, channels: channels.length };
  const verdict = await ask("judge", { name, channels, rate, audio }, [], (share) => tell(share, `${Math.round(100 * share)} % judged in this browser`));
  return { verdict, prosody: null };
}

function ask(task, given, moved = [], hear = () => {}) {
  const id = count++;
  return new Promise((done, fail) => {
    asked.set(id, { done, fail, hear });
    worker.postMessage({ id, task, ...given }, moved);
  });
}

/** Ask a media element how long a file lasts; infinity, or nothing, where its header does not say. */
function durationOf(file) {
  const element = new Audio();
  return new Promise((done) => {
    element.onloadedmetadata = () => done(Number.isFinite(element.duration) ? element.duration : 0);
    element.onerror = () => done(0);
    element.src = URL.createObjectURL(file);
  }).finally(() => URL.revokeObjectURL(element.src));
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
