// A recording -> its verdict, asked of the service that gave this page; says how far it is.

let key = "";

/** Use an API key from now on; it is kept as long as this page is open. */
export function useKey(value) {
  key = value;
}

/** An answer that is no verdict. */
export class Refusal extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    Object.assign(this, { status, retryAfter });
  }
}

/** Ask what judges and what is accepted. */
export const models = () => ask("GET", "/v1/models");

/** Have a recording judged; `tell` gets `(share or null, words)`. */
export async function judge(file, tell) {
  let job = await upload(file, tell);
  while (job.state === "waiting" || job.state === "judging") {
    const { heard_s, promised_s } = job.progress;
    if (job.state === "waiting") tell(null, "waiting, or just begun");
    else tell(promised_s ? heard_s / promised_s : null, promised_s ? `${heard_s.toFixed(0)} of ${promised_s.toFixed(0)} s judged` : `${heard_s.toFixed(0)} s judged`);
    job = await ask("GET", `/v1/jobs/${job.id}?wait_s=10`);
  }
  ask("DELETE", `/v1/jobs/${job.id}`).catch(() => {});
  if (job.state === "failed") throw new Refusal(422, job.error);
  return job;
}

/** Fetch the bytes of a path; `tell` gets how many have come. */
export async function fetchPart(path, tell) {
  const answer = await fetch(path, { headers: authorization() });
  if (!answer.ok) throw refusal(answer.status, await answer.text(), null);
  const chunks = [];
  let got = 0;
  for await (const chunk of answer.body) {
    chunks.push(chunk);
    tell((got += chunk.length));
  }
  return new Blob(chunks).arrayBuffer();
}

/** Open a live stream; `hear` gets each message. */
export function openStream(rate, hear) {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/stream`, key ? ["ringtrue.v1", `key.${key}`] : ["ringtrue.v1"]);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => socket.send(JSON.stringify({ rate_hz: rate, format: "s16le", hop_s: 0.5 })));
  socket.addEventListener("message", (event) => hear(JSON.parse(event.data)));
  return socket;
}

async function upload(file, tell) {
  for (;;) {
    try {
      return await uploadOnce(file, tell);
    } catch (refusal) {
      if (refusal.status !== 429 && refusal.status !== 503) throw refusal;
      tell(null, "the service is busy; waiting");
      await new Promise((done) => setTimeout(done, 1000 * (refusal.retryAfter || 2)));
    }
  }
}

// fetch cannot say how much of a body has gone out; XMLHttpRequest can.
function uploadOnce(file, tell) {
  const form = new FormData();
  form.append("file", file, file.name || "recording");
  form.append("prosody", "true");
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/jobs");
    if (key) request.setRequestHeader("Authorization", `Bearer ${key}`);
    request.upload.addEventListener("progress", (event) => tell(event.loaded / event.total, `uploading, ${Math.round((100 * event.loaded) / event.total)} %`));
    request.addEventListener("error", () => fail(new Refusal(0, "the service cannot be reached, or ended the upload")));
    request.addEventListener("load", () => (request.status === 202 ? done(JSON.parse(request.responseText)) : fail(refusal(request.status, request.responseText, request.getResponseHeader("Retry-After")))));
    request.send(form);
  });
}

const authorization = () => (key ? { Authorization: `Bearer ${key}` } : {});

async function ask(method, path) {
  const answer = await fetch(path, { method, headers: authorization() });
  const text = await answer.text();
  if (!answer.ok) throw refusal(answer.status, text, answer.headers.get("Retry-After"));
  return text ? JSON.parse(text) : null;
}

function refusal(status, text, retryAfter) {
  let detail = `the service answered ${status}`;
  try {
    detail = JSON.parse(text).detail;
  } catch { /* a proxy answered, in words of its own */ }
  return new Refusal(status, detail, Number(retryAfter) || 0);
}
