// A microphone -> chunks while it is heard, and a WAV file at the end.

let context = null;

/** Load what recording needs; nothing is asked of the network after that. */
export async function prepare() {
  if (context) return;
  const made = new AudioContext();
  await made.audioWorklet.addModule("/page/recorder.js");
  context = made;
}

/** Start recording; `hear` gets each chunk as 16-bit samples. */
export async function record(hear) {
  const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false }; // each would change the voice
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...raw } });
  await prepare();
  await context.resume();
  const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
  const chunks = [];
  node.port.onmessage = (event) => {
    const samples = Int16Array.from(event.data, (value) => Math.max(-32768, Math.min(32767, Math.round(32768 * value))));
    chunks.push(samples);
    hear(samples);
  };
  const source = context.createMediaStreamSource(stream);
  source.connect(node);
  return {
    rate: context.sampleRate,
    seconds: () => chunks.reduce((sum, chunk) => sum + chunk.length, 0) / context.sampleRate,
    async stop() {
      stream.getTracks().forEach((track) => track.stop());
      source.disconnect();
      await context.suspend();
      const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
      return new File([header(chunks, context.sampleRate), ...chunks], `microphone-${stamp}.wav`, { type: "audio/wav" });
    },
  };
}

function header(chunks, rate) {
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  const numbers = [[4, 36 + bytes, 4], [16, 16, 4], [20, 1, 2], [22, 1, 2], [24, rate, 4], [28, 2 * rate, 4], [32, 2, 2], [34, 16, 2], [40, bytes, 4]];
  [[0, "RIFF"], [8, "WAVEfmt "], [36, "data"]].forEach(([at, word]) => text(at, word));
  numbers.forEach(([at, value, size]) => (size === 4 ? view.setUint32(at, value, true) : view.setUint16(at, value, true)));
  return view.buffer;
}
