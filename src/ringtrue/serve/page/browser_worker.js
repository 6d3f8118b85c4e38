// The runtime, the model and samples -> window scores and measurements; in a thread of its own, so that the page stays alive.

import { measure } from "./evidence.js";
import { resample, toMono } from "./sound.js";
import { evenScore, judge } from "./verdict.js";
import { isHeard, windowAt, windowStarts } from "./windows.js";

let runtime, session, model;

const TASKS = {
  async load({ folder, wasm, network, about }) {
    runtime = await import(`${folder}/ort.wasm.bundle.min.mjs`);
    Object.assign(runtime.env.wasm, { wasmBinary: wasm, numThreads: 1, proxy: false });
    session = await runtime.InferenceSession.create(network, { executionProviders: ["wasm"] });
    model = about;
  },

  async judge({ name, channels, rate, audio }, tell) {
    const { mono, clipped } = toMono(channels, name);
    const warnings = clipped ? [`clipped: ${(100 * clipped).toFixed(2)}% of the samples lie beyond full scale`] : [];
    const samples = resample(mono, rate);
    if (!samples.length) throw new Error(`${name} holds no audio (0 samples); check how it was recorded`);
    const starts = windowStarts(samples.length), scores = [];
    for (const start of starts) {
      const window = windowAt(samples, start);
      scores.push(isHeard(window) ? await score(window) : evenScore(model.calibration));
      tell(scores.length / starts.length);
    }
    const { summary: measured, envelope } = measure(samples);
    return judge(model, { name, starts, scores, length: samples.length, measured, envelope, audio, warnings });
  },
};

async function score(window) {
  const wave = new runtime.Tensor("float32", window, [1, window.length]);
  const { logits } = await session.run({ wave }, ["logits"]);
  return logits.data[1] - logits.data[0];
}

self.onmessage = async ({ data: { id, task, ...given } }) => {
  try {
    postMessage({ id, answer: await TASKS[task](given, (share) => postMessage({ id, share })) });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};
