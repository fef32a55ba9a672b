// The cluster page: who works, and how each sink is, as the processes say themselves. It asks while somebody looks.

import { byId, element, sentence, whileSeen } from "./elements.js";
import { KINDS, count, duration, openFile, plain, sinkSays } from "./words.js";

const PATH = "/cluster/status";
const ASK_MS = 1_000;
const CALL_MS_MAX = 5_000;

const HEADLINES = {
  running: "Running", partly: "Runs, and lacks something", idle: "Idle", starting: "Starting", waiting: "Waiting",
  ended: "Ended", other: "Not understood", away: "Not heard any more", silent: "Silent",
};
const SINKS = {
  in_step: "In step", opening: "Opening", catching_up: "Catching up", down: "Away", stopped: "Stopped", other: "Not understood",
};

const figure = (n) => (n === null ? "unknown" : n.toLocaleString("en", { maximumFractionDigits: n < 10 ? 1 : 0 }));
const ago = (seconds) => (seconds === null ? "unknown" : duration(seconds));

/// 0, 1, 2, 5 is 0–2, 5.
function ranges(numbers, leftOut) {
  const runs = [];
  for (const n of numbers) {
    const last = runs.at(-1);
    if (last && last[1] === n - 1) last[1] = n;
    else runs.push([n, n]);
  }
  const said = runs.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`));
  if (leftOut) said.push(`and ${leftOut.toLocaleString("en")} more`);
  return said.join(", ") || "none";
}

/// A cell with its column's name, which a narrow screen shows beside it.
function cell(label, className, ...said) {
  const made = element("td", className);
  made.dataset.label = label;
  const inner = made.appendChild(element("span"));
  inner.append(...said);
  return made;
}

const small = (text, className) => element("small", className, text);

function stateCell(words, notes) {
  return cell("State", "said", element("span", "state", words), ...notes);
}

function workerNotes({ silent_seconds: silent, why, waits_for: sink, since_seconds: since }) {
  if (silent !== null) return [small(`for ${duration(silent)}; it counts for nothing`)];
  if (sink) return [small(`for its sink ${sink}`, "why")];
  if (why) return [small(sentence(plain(why)), "why")];
  return since === null ? [] : [small(`for ${duration(since)}`)];
}

function workerRow(worker) {
  const row = element("tr");
  row.dataset.state = worker.waits_for ? "waiting" : worker.state;
  const name = row.appendChild(element("th"));
  name.scope = "row";
  const who = name.appendChild(element("span", "", worker.host ?? "a host without a name"));
  who.append(small(`process ${worker.process ?? "unknown"}, worker ${worker.worker}`));
  if (worker.listen) who.append(small(`status at ${worker.listen}`));
  row.append(
    stateCell(HEADLINES[row.dataset.state], workerNotes(worker)),
    cell("Up for", "", ago(worker.up_seconds)),
    cell("Partitions", "", ranges(worker.partitions, worker.partitions_left_out)),
    cell("Rows a second", "number", figure(worker.rows_per_second)),
    cell("Lag", "number", figure(worker.lag)),
    cell("Generation", "", worker.generation ?? "unknown"),
  );
  return row;
}

function sinkRow(sink) {
  const row = element("tr");
  row.dataset.state = sink.state ?? "unknown";
  const name = row.appendChild(element("th"));
  name.scope = "row";
  const who = name.appendChild(element("span", "", sink.name));
  const kind = KINDS[sink.kind] ?? sink.kind ?? "unknown kind";
  who.append(small(sink.required ? `${kind}, required` : kind));
  // a Kafka sink is in the head's transaction: it has no state of its own
  const inHead = sink.kind === "kafka" && sink.state === null && sink.behind === 0;
  if (inHead) row.dataset.state = "in_step";
  const words = inHead ? SINKS.in_step : SINKS[sink.state] ?? "Unknown";
  const notes = ["down", "stopped", "catching_up"].includes(sink.state) ? [small(sentence(sinkSays(sink)), "why")] : [];
  const open = openFile(sink);
  const behind = open ? [small(open)] : [];
  const positions = sink.positions.map(([partition, next]) => `${partition}: ${next.toLocaleString("en")}`);
  if (sink.positions_left_out) positions.push(`and ${sink.positions_left_out.toLocaleString("en")} more`);
  row.append(
    stateCell(words, notes),
    cell("Behind the head", "number", figure(sink.behind), ...behind),
    cell("Position by partition", "", positions.join(" · ") || "unknown"),
  );
  return row;
}

const ROLES = [
  ["thead, tbody", "rowgroup"], ["tr", "row"], ["td", "cell"], ["thead th", "columnheader"], ["tbody th", "rowheader"],
];

function table(caption, columns, rows) {
  const made = element("table", "rows");
  made.append(element("caption", "hidden", caption));
  const head = made.appendChild(element("thead")).appendChild(element("tr"));
  for (const [column, className] of columns) {
    const name = head.appendChild(element("th", className, column));
    name.scope = "col";
  }
  made.appendChild(element("tbody")).append(...rows);
  // a table that is drawn as cards is still one for who does not see it
  made.setAttribute("role", "table");
  for (const [name, role] of ROLES) {
    made.querySelectorAll(name).forEach((one) => one.setAttribute("role", role));
  }
  return made;
}

function card(title, ...inside) {
  const made = element("section", "card");
  made.append(element("h3", "", title), ...inside);
  return made;
}

const WORKERS = [["Worker"], ["State"], ["Up for"], ["Partitions"], ["Rows a second", "number"], ["Lag", "number"], ["Generation"]];
const MEDIA = [["Sink"], ["State"], ["Behind the head", "number"], ["Position by partition"]];
const REJECTS = [["Stage and reason"], ["Messages", "number"]];

function rejects({ rejects: codes, rejects_total: total }) {
  if (!total) return element("p", "none quiet", "None since the processes started.");
  const rows = Object.entries(codes).sort(([, a], [, b]) => b - a).map(([code, n]) => {
    const row = element("tr");
    const name = row.appendChild(element("th"));
    name.scope = "row";
    name.append(element("span", "", code));
    row.append(cell("Messages", "number", figure(n)));
    return row;
  });
  return table("Refused messages and rows by stage and reason", REJECTS, rows);
}

function figures(application) {
  const list = element("dl", "figures");
  const generations = application.generations.join(", ") || "unknown";
  for (const [term, said, className] of [
    ["Processes", `${application.processes}`],
    ["Rows a second", figure(application.rows_per_second)],
    ["Waiting in the topic", figure(application.lag)],
    ["Refused", figure(application.rejects_total)],
    [application.generations.length > 1 ? "Generations, one taking over" : "Generation", generations, "code"],
  ]) {
    const one = list.appendChild(element("div"));
    one.append(element("dt", "", term), element("dd", className, said));
  }
  return list;
}

function show(application) {
  const shown = element("article", "application");
  const head = shown.appendChild(element("div", "application-head"));
  head.dataset.state = application.state;
  head.append(element("h2", "", application.pipeline), element("p", "state", HEADLINES[application.state]));
  const workers = [table("Workers", WORKERS, application.workers.map(workerRow))];
  if (application.workers_left_out) workers.push(element("p", "none quiet", `and ${count(application.workers_left_out, "worker")} more`));
  shown.append(
    figures(application),
    card("Workers", ...workers),
    card("Sinks", table("Sinks", MEDIA, application.sinks.map(sinkRow))),
    card("Refused, since each process started", rejects(application)),
  );
  return shown;
}

const NOBODY = {
  unreached: "The brokers have not been reached, so nobody knows who works.",
  absent: "There is no such topic yet: no worker has announced itself.",
  behind: "The topic is being read.",
  current: "No worker has announced itself in the last two minutes. One does if its pipeline's file has a [status] section.",
};

let told = "";

/// Only a change of who is how is said aloud, not every figure.
function announce(applications) {
  const states = applications.map(({ pipeline, state, processes }) => (
    `${pipeline}: ${HEADLINES[state]}, ${processes} ${processes === 1 ? "process" : "processes"}.`));
  const now = states.join(" ");
  if (now === told) return;
  told = now;
  byId("announcer").textContent = now;
}

function tell({ topic, reading, applications }) {
  byId("lead").textContent = applications.length
    ? `As every process says itself, in the topic ${topic}.`
    : `Topic ${topic}: ${NOBODY[reading]}`;
  byId("applications").replaceChildren(...applications.map(show));
  announce(applications);
}

let heard = performance.now();

async function ask() {
  try {
    const response = await fetch(PATH, { signal: AbortSignal.timeout(CALL_MS_MAX) });
    if (!response.ok) throw new Error(response.statusText);
    tell(await response.json());
    heard = performance.now();
  } catch {
    const seconds = Math.round((performance.now() - heard) / 1_000);
    byId("lead").textContent = `This page's server has not answered for ${duration(seconds)}. What is below is from before.`;
  }
}

whileSeen(ask, ASK_MS);
