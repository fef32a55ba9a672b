// The corner that says how the pipeline is. It only tells: nothing else of the page waits for it.

import { byId, element, sentence, whileSeen } from "./elements.js";
import { KINDS, count, duration, plain, sinkSays } from "./words.js";

const PATH = "/flights/delays/pipeline";
const ASK_MS = 2_000;
const CALL_MS_MAX = 5_000;
const corner = byId("pipeline");

const HEADLINES = {
  running: "running", partly: "missing a sink", idle: "idle", starting: "starting", waiting: "waiting", ended: "ended",
  other: "not understood", away: "not reachable", lost: "not known",
};
// what needs a person first, of several pipelines
const BY_NEED = ["lost", "away", "waiting", "ended", "other", "partly", "starting", "idle", "running"];

/// A description that is longer gets lines of its own.
const SHORT_CHARS_MAX = 36;

const since = ({ seconds }) => (seconds ? ` for ${duration(seconds)}` : "");

function answering({ lag }) {
  if (lag === null) return "It answers the flights that come.";
  return lag === 0 ? "Every flight that came is answered." : `${count(lag, "flight")} still to be answered.`;
}

/// One sentence or two on what it does, for a person who waits for an answer.
const SENTENCES = {
  running: answering,
  partly: (report) => `${answering(report)} What a sink lacks, it gets when it is back.`,
  idle: () => "It has no part of the topic to read: another process has all of it.",
  starting: () => "It has not begun to read yet.",
  waiting: (report) => (report.waits_for
    ? `${answering(report)} It goes on when its sink ${report.waits_for} takes rows again.`
    : `Something that it needs is away${since(report)}. It tries again by itself.`),
  ended: () => "It was stopped, or could not go on.",
  other: () => "It is in a state that this page does not know.",
  away: (report) => `It has not said how it is${since(report)}. Flights are kept, and answered when it runs.`,
  lost: (report) => `This page's server has not answered${since(report)}.`,
};

const sentenceOf = (report) => SENTENCES[report.state](report);

function refused({ rejects, rejects_total: total }) {
  if (!total) return "none since it started";
  const each = Object.entries(rejects).sort(([, a], [, b]) => b - a).map(([code, n]) => `${code} ${n}`);
  return `${total.toLocaleString("en")} since it started (${each.join(", ")})`;
}

/// Terms and descriptions; what is not known now is left out.
function factsOf(report) {
  const facts = [];
  if (report.why) facts.push(["Why", sentence(plain(report.why))]);
  if (!report.pipeline) return facts;
  if (report.lag !== null) facts.push(["Waiting in the topic", count(report.lag, "message")]);
  for (const sink of report.sinks) {
    const kind = KINDS[sink.kind] ?? sink.kind;
    if (sink.behind !== null || sink.state !== null) facts.push([kind ? `${sink.name} (${kind})` : sink.name, sinkSays(sink)]);
  }
  return [...facts, ["Refused", refused(report)], ["Generation", report.generation ?? "not known"]];
}

function show(report, several) {
  const shown = element("div", "pipeline-one");
  if (several) shown.append(element("p", "pipeline-name", `${report.pipeline ?? report.at}: ${HEADLINES[report.state]}`));
  shown.append(element("p", "pipeline-sentence", sentenceOf(report)));
  const list = shown.appendChild(element("dl"));
  for (const [term, said] of factsOf(report)) {
    const line = list.appendChild(element("div", said.length > SHORT_CHARS_MAX ? "long" : ""));
    line.append(element("dt", "", term), element("dd", "", said));
  }
  return shown;
}

let reports = [];

/// The pipeline that needs a person first.
const worst = () => BY_NEED.map((state) => reports.find((report) => report.state === state)).find(Boolean);

/// What to say to a person whose answer takes long.
export function pipelineSentence() {
  const report = worst();
  return report ? ` The pipeline is ${HEADLINES[report.state]}. ${sentenceOf(report)}` : "";
}

function tell(now) {
  reports = now;
  const report = worst();
  const { state } = report;
  byId("pipeline-told").replaceChildren(...reports.map((one) => show(one, reports.length > 1)));
  if (corner.dataset.state === state) return;
  // only a change is said aloud, not every figure
  corner.dataset.state = state;
  byId("pipeline-state").textContent = `Pipeline ${HEADLINES[state]}`;
}

let heard = performance.now();

async function ask() {
  try {
    const response = await fetch(PATH, { signal: AbortSignal.timeout(CALL_MS_MAX) });
    if (!response.ok) throw new Error(response.statusText);
    const { pipelines } = await response.json();
    heard = performance.now();
    tell(pipelines);
  } catch {
    tell([{ state: "lost", seconds: Math.round((performance.now() - heard) / 1_000) }]);
  }
}

byId("pipeline-more").addEventListener("click", ({ currentTarget }) => {
  const open = corner.toggleAttribute("data-open");
  currentTarget.setAttribute("aria-expanded", String(open));
});
whileSeen(ask, ASK_MS);
