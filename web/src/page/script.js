// Posts a flight and shows its answer from both sides. What is said to the person is said in words, by `show`.

import { byId, element, sentence } from "./elements.js";
import { pipelineSentence } from "./pipeline.js";

const FORM_PATH = "/flights/delays/predict/classify_realtime";
const responsePath = (id) => `${FORM_PATH}/response/${encodeURIComponent(id)}`;
const eventsPath = (id) => `/flights/delays/predict/kafka_event_stream/${encodeURIComponent(id)}`;

const FIELDS = ["Origin", "Dest", "Carrier", "FlightDate", "FlightNum", "DepDelay"];
const CALL_MS_MAX = 20_000;
const POLL_MS = 400;
const POLL_MS_MAX = 2_000;
const SLOW_MS = 8_000;
const WAIT_MS_MAX = Number(document.body.dataset.waitSecondsMax) * 1_000;
const RECENT_MAX = 6;
const RECENT_KEY = "millrace-recent";
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
  "November", "December"];
const STATES = { idle: "Idle", waiting: "Waiting", answered: "Answered", rejected: "Rejected", failed: "Failed" };

const form = byId("flight");
const classes = [...document.querySelectorAll("#classes .class")].map((row) => ({
  label: row.querySelector("dt").textContent,
  meaning: row.querySelector("dd").textContent,
}));
const monthsKnown = new Set(document.body.dataset.months.split(" ").filter(Boolean).map(Number));

const paragraph = (className, text) => element("p", className, text);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const monthOf = (date) => MONTHS[Number(String(date).slice(5, 7)) - 1];

// --- the panels ------------------------------------------------------------------------------------------------

/// One side of the answer.
class Panel {
  constructor(name, side) {
    this.root = byId(name);
    this.side = side;
  }

  show(state, parts, said) {
    this.root.dataset.state = state;
    this.root.querySelector(".state").textContent = STATES[state];
    this.root.querySelector(".panel-body").replaceChildren(...parts);
    if (said) announce(`${this.side}: ${said}`);
  }

  waiting(text) {
    this.show("waiting", [paragraph("quiet", text)]);
  }

  answered(prediction, seconds) {
    this.show("answered", answerParts(prediction, seconds), labelOf(prediction));
  }

  rejected({ stage, code, reason }) {
    const parts = [
      paragraph("verdict", "The pipeline refused this flight"),
      paragraph("meaning", sentence(reason)),
      paragraph("facts", `Stage ${stage}, code ${code}. The message is kept with its reason in the rejects topic.`),
    ];
    this.show("rejected", parts, `rejected. ${reason}`);
  }

  failed(text, again) {
    const button = element("button", "plain", "Look again");
    button.type = "button";
    button.addEventListener("click", again);
    this.show("failed", [paragraph("meaning", text), button], `failed. ${text}`);
  }
}

const kafka = new Panel("kafka", "From Kafka");
const mongo = new Panel("mongo", "From MongoDB");
let said = [];

/// What both sides say at about the same time is said together, and to the last word.
function announce(text) {
  said.push(text);
  setTimeout(() => {
    if (said.length) byId("announcer").textContent = said.join(" ");
    said = [];
  }, 150);
}

const labelOf = ({ Prediction }) => classes[Prediction]?.label ?? `Class ${Prediction}`;

function answerParts(prediction, seconds) {
  const parts = [paragraph("verdict", labelOf(prediction))];
  const meaning = classes[prediction.Prediction]?.meaning;
  if (meaning) parts.push(paragraph("meaning", `${meaning}.`));
  if (prediction.SeasonKnown === false) {
    const month = monthOf(prediction.FlightDate) ?? "This month";
    parts.push(paragraph("note", `${month} was not in the model's training data: take this answer with care.`));
  }
  if (Array.isArray(prediction.Probability)) parts.push(chart(prediction.Probability, prediction.Prediction));
  const facts = paragraph("facts");
  facts.append(...factsOf(prediction, seconds).map((fact) => element("span", "", fact)));
  return [...parts, facts];
}

function factsOf(prediction, seconds) {
  const facts = [];
  if (seconds !== undefined) facts.push(`after ${seconds.toFixed(2)} s`);
  if (prediction.Distance != null) facts.push(`${prediction.Distance} miles`);
  if (prediction.ModelDate) facts.push(`model of ${prediction.ModelDate}`);
  return facts;
}

function chart(probabilities, chosen) {
  const table = element("table", "chart");
  table.append(element("caption", "", "Probability of each answer"));
  const body = table.appendChild(element("tbody"));
  probabilities.forEach((probability, index) => {
    const row = body.appendChild(element("tr", index === chosen ? "chosen" : ""));
    const label = row.appendChild(element("th", "", classes[index]?.label ?? `Class ${index}`));
    label.scope = "row";
    const cell = row.appendChild(element("td", "cell"));
    const bar = cell.appendChild(element("div", "track")).appendChild(element("div", "bar"));
    cell.setAttribute("aria-hidden", "true");
    bar.style.width = `${(probability * 100).toFixed(1)}%`;
    row.append(element("td", "share", `${(probability * 100).toFixed(1)} %`));
  });
  return table;
}

// --- one flight, followed from both sides ----------------------------------------------------------------------

class Flight {
  constructor(id, summary, sent) {
    Object.assign(this, { id, summary, sent, started: performance.now(), over: new AbortController() });
  }

  get live() {
    return !this.over.signal.aborted;
  }

  get isLate() {
    return performance.now() - this.started > WAIT_MS_MAX;
  }

  get isSlow() {
    return performance.now() - this.started > SLOW_MS;
  }

  /// Since it was sent, if that was here and now.
  get seconds() {
    return this.sent === undefined ? undefined : (performance.now() - this.sent) / 1_000;
  }

  stop() {
    this.over.abort();
  }
}

let current;

/// Follows a flight until both sides are settled, or another is followed.
function follow(id, summary, sent) {
  current?.stop();
  current = new Flight(id, summary, sent);
  byId("which").textContent = summary ?? `Flight ${id}`;
  listen(current);
  poll(current);
}

const again = (flight) => () => flight.live && follow(flight.id, flight.summary);
const lateText = () => `No answer within ${WAIT_MS_MAX / 1_000} s. The flight is kept in the topic and will be ` +
  `answered.${pipelineSentence()}`;
const slowText = () => `Still listening. The flight is kept in the topic.${pipelineSentence()}`;

function listen(flight) {
  const events = new EventSource(eventsPath(flight.id));
  const slow = setTimeout(() => kafka.waiting(slowText()), SLOW_MS);
  const late = setTimeout(() => settle(() => kafka.failed(lateText(), again(flight))), WAIT_MS_MAX);
  const end = () => {
    [slow, late].forEach(clearTimeout);
    events.close();
  };
  const settle = (tell) => {
    end();
    if (flight.live) tell();
  };
  flight.over.signal.addEventListener("abort", end);
  kafka.waiting("Listening to the topic…");
  events.addEventListener("message", ({ data }) => settle(() => {
    const prediction = JSON.parse(data);
    kafka.answered(prediction, flight.seconds);
    remember(flight, labelOf(prediction));
  }));
  events.addEventListener("rejected", ({ data }) => settle(() => {
    kafka.rejected(JSON.parse(data));
    remember(flight, "Rejected");
  }));
  events.addEventListener("error", async () => {
    // a stream that was cut off is opened again by the browser; one that was refused is not
    if (events.readyState !== EventSource.CLOSED) return;
    const reason = await refusal(flight.id);
    settle(() => kafka.failed(reason, again(flight)));
  });
}

/// Why a stream was refused: an EventSource does not say it.
async function refusal(id) {
  try {
    const response = await fetch(eventsPath(id), { signal: AbortSignal.timeout(CALL_MS_MAX) });
    if (!response.ok) return (await response.json()).reason;
    await response.body?.cancel();
  } catch {
    // told below
  }
  return "The connection to this page's server was lost.";
}

async function poll(flight) {
  mongo.waiting("Looking for the document…");
  for (let wait = POLL_MS; flight.live; wait = Math.min(wait * 1.3, POLL_MS_MAX)) {
    const { code, told } = await ask(flight.id);
    if (!flight.live) return;
    if (told.status === "OK") return mongo.answered(told.prediction, flight.seconds);
    if (told.status === "REJECTED") return mongo.rejected(told);
    if (code === 404 || flight.isLate) return mongo.failed(told.reason ?? lateText(), again(flight));
    if (told.reason) mongo.waiting(`${told.reason} Trying again…`);
    else if (flight.isSlow) mongo.waiting("Still looking. Nothing is stored for this flight yet.");
    await pause(wait);
  }
}

async function ask(id) {
  try {
    const response = await fetch(responsePath(id), { signal: AbortSignal.timeout(CALL_MS_MAX) });
    return { code: response.status, told: await response.json() };
  } catch {
    return { code: 0, told: { reason: "This page's server does not answer." } };
  }
}

// --- the form --------------------------------------------------------------------------------------------------

/// The same rules as the server's, so that most faults need no journey; the server has the last word.
function faultsOf(typed) {
  const faults = {};
  if (!typed.Origin) faults.Origin = "Choose the airport that the flight goes from.";
  if (!typed.Dest) faults.Dest = "Choose the airport that the flight goes to.";
  else if (typed.Dest === typed.Origin) {
    faults.Dest = `A flight cannot go from ${typed.Origin} to ${typed.Dest}: choose another airport.`;
  }
  if (!typed.Carrier) faults.Carrier = "Choose a carrier.";
  if (!typed.FlightDate) faults.FlightDate = "Choose the day of the flight.";
  if (!/^[a-z0-9]{0,8}$/i.test(typed.FlightNum)) faults.FlightNum = "At most 8 letters or digits, such as 1519.";
  const delay = Number(typed.DepDelay);
  if (Number.isNaN(delay)) {
    faults.DepDelay = "A number of minutes, such as 15; leave it empty if it is not known.";
  } else if (delay < -1_440 || delay > 2_880) {
    faults.DepDelay = "Minutes from -1440 (a day early) to 2880 (two days late).";
  }
  return faults;
}

function showFaults(faults) {
  for (const field of FIELDS) {
    byId(`${field}-error`).textContent = faults[field] ?? "";
    if (faults[field]) byId(field).setAttribute("aria-invalid", "true");
    else byId(field).removeAttribute("aria-invalid");
  }
  const first = FIELDS.find((field) => faults[field]);
  if (first) byId(first).focus();
  return first !== undefined;
}

function hintSeason() {
  const date = byId("FlightDate").value;
  const known = !date || monthsKnown.has(Number(date.slice(5, 7)));
  byId("FlightDate-hint").textContent = known ? "" : `The model saw no flights of ${monthOf(date)}.`;
}

const typedNow = () => Object.fromEntries(FIELDS.map((field) => [field, byId(field).value.trim()]));

function summaryOf({ Carrier, FlightNum, Origin, Dest, FlightDate, DepDelay }) {
  const late = DepDelay === "" ? "" : `, ${Math.abs(DepDelay)} min ${DepDelay < 0 ? "early" : "late"}`;
  return `${Carrier}${FlightNum ? ` ${FlightNum}` : ""} ${Origin}–${Dest}, ${FlightDate}${late}`;
}

async function submit(event) {
  event.preventDefault();
  if (byId("send").getAttribute("aria-disabled") === "true") return;
  const typed = typedNow();
  byId("form-failure").textContent = "";
  if (showFaults(faultsOf(typed))) return;
  sending(true);
  const told = await post(typed);
  sending(false);
  if (told.status === "OK") sent(told.id, summaryOf(typed));
  else if (!showFaults(told.errors ?? {})) byId("form-failure").textContent = told.reason;
}

async function post(typed) {
  try {
    const body = new URLSearchParams(typed);
    const response = await fetch(FORM_PATH, { method: "POST", body, signal: AbortSignal.timeout(CALL_MS_MAX) });
    return await response.json();
  } catch {
    return { status: "FAILED", reason: "This page's server does not answer. Nothing was sent." };
  }
}

function sending(is) {
  byId("send").setAttribute("aria-disabled", String(is));
  byId("send").textContent = is ? "Sending…" : "Predict";
}

function sent(id, summary) {
  history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  remember({ id, summary }, "Waiting");
  announce(`Sent: ${summary}.`);
  follow(id, summary, performance.now());
  const top = byId("results").getBoundingClientRect().top;
  if (top > innerHeight * 0.6) byId("results").scrollIntoView();
}

// --- flights of this browser -----------------------------------------------------------------------------------

/// A browser that keeps nothing is no fault.
function recent() {
  try {
    return JSON.parse(localStorage.getItem(RECENT_KEY)) ?? [];
  } catch {
    return [];
  }
}

function keep(flights) {
  try {
    localStorage.setItem(RECENT_KEY, JSON.stringify(flights));
  } catch {
    // then it is not kept
  }
  list(flights);
}

function remember({ id, summary }, outcome) {
  if (!summary) return;
  const flights = recent();
  const place = flights.findIndex((flight) => flight.id === id);
  if (place < 0) flights.unshift({ id, summary, outcome });
  else flights[place].outcome = outcome;
  keep(flights.slice(0, RECENT_MAX));
}

function list(flights) {
  byId("recent").hidden = flights.length === 0;
  byId("recent-list").replaceChildren(...flights.map(({ id, summary, outcome }) => {
    const item = element("li");
    const link = item.appendChild(element("a"));
    link.href = `#${encodeURIComponent(id)}`;
    link.append(element("span", "", summary), element("span", "", outcome));
    return item;
  }));
}

/// The address names the flight, so a reload or a link shows it again.
function followAddress() {
  let id;
  try {
    id = decodeURIComponent(location.hash.slice(1));
  } catch {
    return;
  }
  if (!id || id === "results" || id === current?.id) return;
  follow(id, recent().find((flight) => flight.id === id)?.summary);
}

/// A flight that can be asked at once, of a month that the model knows.
function fillExample() {
  const choose = (field, wanted) => {
    const options = [...byId(field).options].map(({ value }) => value).filter(Boolean);
    byId(field).value = options.includes(wanted) ? wanted : options[0];
  };
  choose("Origin", "EWR");
  choose("Dest", "SFO");
  choose("Carrier", "UA");
  const [year] = document.body.dataset.modelDate.split("-");
  const [month = 1] = monthsKnown;
  byId("FlightDate").value = `${year}-${String(month).padStart(2, "0")}-15`;
  byId("FlightNum").value = "";
  byId("DepDelay").value = "40";
  showFaults({});
  hintSeason();
  byId("send").focus();
}

form.noValidate = true;
form.addEventListener("submit", submit);
byId("FlightDate").addEventListener("input", hintSeason);
byId("example").addEventListener("click", fillExample);
byId("forget").addEventListener("click", () => keep([]));
addEventListener("hashchange", followAddress);
list(recent());
hintSeason();
followAddress();
