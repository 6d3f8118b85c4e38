// Audio thread: what the microphone gives -> chunks of 100 ms.

class Recorder extends AudioWorkletProcessor {
  #held = [];
  #count = 0;

  process([[channel]]) {
    if (!channel) return true;
    this.#held.push(channel.slice());
    this.#count += channel.length;
    if (this.#count >= sampleRate / 10) {
      const chunk = new Float32Array(this.#count);
      this.#held.reduce((at, piece) => (chunk.set(piece, at), at + piece.length), 0);
      this.port.postMessage(chunk, [chunk.buffer]);
      [this.#held, this.#count] = [[], 0];
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
