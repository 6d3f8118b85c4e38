// A verdict's numbers -> pictures: the scale, the sound with its evidence over time, pitch and pauses.

import { html, svg } from "./elements.js";
import { clock, isEven, signed } from "./words.js";

const wide = () => Math.max(280, Math.min(720, innerWidth - 76)); // as it will be seen, so that text keeps its size
const FULL_LLR = 6; // drawn at full strength from here on
const MOST_PIECES = 240;

/** Draw a picture, and again whenever the window has another width: scaled, its text would be too small to read. */
export function fitted(draw) {
  let picture = draw(), width = wide(), due;
  addEventListener("resize", () => {
    clearTimeout(due);
    due = setTimeout(() => {
      if (wide() === width || !picture.isConnected) return;
      width = wide();
      const again = draw();
      picture.replaceWith(again);
      picture = again;
    }, 100);
  });
  return picture;
}

/** Draw where an LLR lies between "a machine" and "a person", with the limits of the operating point. */
export function scale(llr, band, label = "evidence") {
  const width = wide();
  const x = (value) => width / 2 + (Math.max(-FULL_LLR, Math.min(FULL_LLR, value)) / FULL_LLR) * (width / 2 - 8);
  const at = x(llr);
  const lower = band ? x(band.lower) : width / 2, upper = band ? x(band.upper) : width / 2;
  const words = `${label}: log-likelihood ratio ${signed(llr)}, on a scale from a machine at −6 to a person at +6` +
    (band ? `; called machine-made below ${signed(band.lower)}, human from ${signed(band.upper)} on` : "");
  return svg("svg", { viewBox: `0 0 ${width} 64`, role: "img", "aria-label": words, class: "scale" },
    svg("rect", { class: "made", x: 0, y: 30, width: lower, height: 12, opacity: 0.75 }),
    svg("rect", { class: "band", x: lower, y: 30, width: upper - lower, height: 12 }),
    svg("rect", { class: "real", x: upper, y: 30, width: width - upper, height: 12, opacity: 0.75 }),
    svg("path", { class: "edge", d: `M${width / 2} 26V46` }),
    svg("path", { class: "needle", d: `M${at} 44l-7 -20h14z` }),
    svg("text", { x: Math.max(26, Math.min(width - 26, at)), y: 18, "text-anchor": "middle", class: "strong" }, signed(llr)),
    svg("text", { x: 0, y: 60 }, "fits a machine"),
    svg("text", { x: width / 2, y: 60, "text-anchor": "middle" }, "equally likely"),
    svg("text", { x: width, y: 60, "text-anchor": "end" }, "fits a person"));
}

/** Draw the outline of the sound and the evidence of each piece; a click or an arrow key moves `audio`. */
export function timeline(verdict, audio) {
  const width = wide();
  const duration = Math.max(verdict.audio.duration_s, 1e-6);
  const x = (seconds) => (width * seconds) / duration;
  const peak = Math.max(1e-3, ...verdict.envelope), step = width / Math.max(1, verdict.envelope.length);
  const head = svg("path", { class: "head", d: "M0 0V124" });
  const picture = svg("svg", {
    viewBox: `0 0 ${width} 142`, class: "timeline", tabindex: 0, role: "slider", "aria-valuemin": 0,
    "aria-valuemax": duration.toFixed(1), "aria-valuenow": 0, "aria-valuetext": described(verdict, 0),
    "aria-label": "Position in the recording; arrow keys move, space plays",
  },
    verdict.regions.map((one) => svg("rect", { class: "region", x: x(one.start_s), y: 0, width: x(one.end_s - one.start_s), height: 124 })),
    verdict.envelope.map((value, index) => {
      const half = Math.max(0.7, (40 * value) / peak);
      return svg("rect", { class: "wave", x: index * step, y: 44 - half, width: Math.max(0.5, step * 0.7), height: 2 * half });
    }),
    svg("path", { class: "axis", d: `M0 107H${width}` }),
    joined(verdict.segments).filter(({ llr }) => !isEven(llr)).map(({ start_s, end_s, llr }) => {
      const height = Math.max(1.5, Math.min(1, Math.abs(llr) / FULL_LLR) * 16);
      return svg("rect", { class: llr > 0 ? "real" : "made", x: x(start_s), y: llr > 0 ? 107 - height : 107, width: Math.max(0.7, x(end_s - start_s) - 0.8), height },
        svg("title", {}, `${start_s.toFixed(1)} to ${end_s.toFixed(1)} s: LLR ${signed(llr)}`));
    }),
    clockAxis(x, duration, width, 139),
    head);
  const seek = (seconds) => { audio.currentTime = Math.max(0, Math.min(duration - 0.01, seconds)); };
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * duration);
    audio.play().catch(() => {});
  });
  picture.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10 };
    if (event.key in moves) seek(audio.currentTime + moves[event.key]);
    else if (event.key === "Home" || event.key === "End") seek(event.key === "Home" ? 0 : duration);
    else if (event.key === " ") audio.paused ? audio.play().catch(() => {}) : audio.pause();
    else return;
    event.preventDefault();
  });
  const follow = () => {
    head.setAttribute("transform", `translate(${x(audio.currentTime)} 0)`);
    picture.setAttribute("aria-valuenow", audio.currentTime.toFixed(1));
    picture.setAttribute("aria-valuetext", described(verdict, audio.currentTime));
  };
  audio.addEventListener("timeupdate", follow);
  follow();
  return picture;
}

function described(verdict, seconds) {
  const here = verdict.segments.find((one) => one.start_s <= seconds && seconds < one.end_s);
  const evidence = here?.llr == null ? "" : `, evidence here ${signed(here.llr)}, for ${isEven(here.llr) ? "neither" : here.llr > 0 ? "a person" : "a machine"}`;
  return `${seconds.toFixed(1)} seconds${evidence}`;
}

/** Join pieces until few enough are left to draw; the most machine-like of them speaks for its neighbours. */
function joined(segments) {
  const pieces = segments.filter((one) => one.llr !== null), group = Math.ceil(pieces.length / MOST_PIECES) || 1;
  return Array.from({ length: Math.ceil(pieces.length / group) }, (_, at) => {
    const part = pieces.slice(at * group, (at + 1) * group);
    return { start_s: part[0].start_s, end_s: part.at(-1).end_s, llr: Math.min(...part.map((one) => one.llr)) };
  });
}

function clockAxis(x, duration, width, y) {
  const step = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600].find((one) => duration / one <= width / 64) ?? 7200;
  const seconds = Array.from({ length: Math.floor(duration / step) + 1 }, (_, index) => index * step);
  return seconds.map((second) => svg("text", { x: x(second), y, "text-anchor": second === 0 ? "start" : x(second) > width - 24 ? "end" : "middle" }, clock(second)));
}

/** Draw pitch over time on a logarithmic axis, with pauses shaded. */
export function pitch(prosody, duration) {
  const width = wide();
  const left = 52, x = (seconds) => left + ((width - left) * seconds) / Math.max(duration, 1e-6);
  const y = (hz) => 124 - (Math.log2(hz / 60) / Math.log2(400 / 60)) * 108;
  const voiced = prosody.pitch_hz.filter((hz) => hz !== null);
  const middle = voiced.toSorted((a, b) => a - b)[Math.floor(voiced.length / 2)];
  const words = voiced.length
    ? `Pitch over time: median ${middle.toFixed(0)} Hz, from ${Math.min(...voiced).toFixed(0)} to ${Math.max(...voiced).toFixed(0)} Hz; ${prosody.pauses.length} pauses`
    : "No voice with a pitch was found";
  const seen = prosody.pauses.filter(([start, end]) => x(end) - x(start) >= 2); // narrower, they are stripes over everything
  return svg("svg", { viewBox: `0 0 ${width} 144`, role: "img", "aria-label": words },
    seen.map(([start, end]) => svg("rect", { class: "pause", x: x(start), y: 12, width: x(end) - x(start), height: 112 },
      svg("title", {}, `pause of ${(end - start).toFixed(1)} s`))),
    [60, 100, 200, 400].map((hz) => [
      svg("path", { class: "axis", d: `M${left} ${y(hz)}H${width}` }),
      svg("text", { x: left - 8, y: y(hz) + 4, "text-anchor": "end" }, `${hz} Hz`),
    ]).flat(),
    prosody.pitch_hz.map((hz, index) => hz === null ? null : svg("circle", { class: "pitch", cx: x((index + 0.5) * prosody.step_s), cy: y(hz), r: 1.6 })),
    clockAxis(x, duration, width, 140));
}

/** Draw where a value stands among real speech, with the share that lies below it. */
export function place(percentile) {
  const rounded = Math.round(percentile);
  return [
    svg("svg", { viewBox: "0 0 100 12", class: "among", "aria-hidden": "true" },
      svg("path", { class: "track", d: "M4 6H96" }),
      svg("circle", { class: "place", cx: 4 + 0.92 * percentile, cy: 6, r: 5 })),
    html("span", { class: "rank" }, `above ${rounded}\u00a0%`),
  ];
}
