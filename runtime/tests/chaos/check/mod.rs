//! The checker: what is in the four outputs, as anybody can read them, against what the log holds.
//!
//! It knows the messages and the documented forms of the outputs, and nothing of the engine: each message's fate is
//! worked out here again, each row's position is the message's own in the log.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::message::Fate;

/// A record of a topic.
#[derive(Clone, Debug)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub value: Vec<u8>,
}

/// What a document of the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DocumentsOf {
    /// Its id is the row's position.
    #[default]
    Rows,
    /// Its id is the message's, and `_millrace` the row's position: the store refuses the message's further rows.
    FirstRows,
    /// Its id is the message's, and `_millrace` has the row's place in its partition: the rows before it are replaced.
    LastRows,
}

/// Everything that the outside sees. The log is to be read last: no row may be older than its message.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub documents_of: DocumentsOf,
    pub log: Vec<Record>,
    pub responses: Vec<Record>,
    pub rejects: Vec<Record>,
    /// By id.
    pub documents: Vec<(String, Value)>,
    /// By name.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Rejects that are documents, in the order of the log: they have none of their own.
pub fn of_documents(rejects: impl Iterator<Item = (String, Value)>) -> Vec<Record> {
    let mut rejects: Vec<Value> = rejects.map(|(_, reject)| reject).collect();
    rejects.sort_by_key(|reject| (reject["partition"].as_i64(), reject["offset"].as_i64()));
    let record =
        |(offset, reject): (i64, Value)| Record { partition: 0, offset, value: reject.to_string().into_bytes() };
    (0..).zip(rejects).map(record).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    Lost,
    Twice,
    Torn,
    Order,
    /// An answer that is not the message's, or not the same at every sink.
    Answer,
    /// Where it must not be: a row of a message that gives none.
    Foreign,
    /// Rows in are not rows out, filtered and rejected.
    Balance,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub wrong: Wrong,
    pub sink: &'static str,
    pub what: String,
}

/// How much must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The pipeline is at work: what is published may end anywhere, but has no hole.
    Meanwhile,
    /// It has had the time to do it all.
    AtTheEnd,
}

/// Partition and offset of a message.
type Place = (i32, i64);
/// A message's place, and which of its rows.
type Key = (i32, i64, i64);

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    n: i64,
    partition: i32,
    offset: i64,
    y: i64,
    #[serde(rename = "Generation")]
    generation: String,
}

impl Row {
    fn place(&self) -> Place {
        (self.partition, self.offset)
    }

    fn key(&self) -> Key {
        (self.partition, self.offset, self.y.checked_rem(self.n).unwrap_or(-1))
    }

    /// The plugin's argument in the generation that computed it.
    fn factor(&self) -> i64 {
        self.y.checked_div(self.n).unwrap_or(-1)
    }
}

struct Checker {
    topic: String,
    documents_of: DocumentsOf,
    fates: BTreeMap<Place, Fate>,
    messages: BTreeMap<Place, Vec<u8>>,
    /// Factors that were ever deployed.
    deployed: BTreeSet<i64>,
    /// Of each generation.
    factors: BTreeMap<String, i64>,
    found: Vec<Finding>,
}

type Rows = BTreeMap<Key, Row>;

#[derive(Default)]
struct Rejected {
    /// As a whole, by the source or a stage.
    messages: BTreeSet<Place>,
    /// Of how many rows of a message, by the store.
    rows: BTreeMap<Place, i64>,
}

pub const RESPONSES: &str = "responses";
pub const REJECTS: &str = "rejects";
pub const STORE: &str = "store";
pub const ARCHIVE: &str = "archive";

/// `topic`: the log's name. `deployed`: the factors of every generation that there was.
pub fn check(topic: &str, observed: &Observed, deployed: &BTreeSet<i64>, when: When) -> Vec<Finding> {
    let by_place = |record: &Record| ((record.partition, record.offset), record.value.clone());
    let messages: BTreeMap<_, _> = observed.log.iter().map(by_place).collect();
    let mut checker = Checker {
        topic: topic.to_owned(),
        documents_of: observed.documents_of,
        fates: messages.iter().map(|(place, value)| (*place, Fate::of(value))).collect(),
        messages,
        deployed: deployed.clone(),
        factors: BTreeMap::new(),
        found: Vec::new(),
    };
    let (responses, Rejected { messages: rejects, rows }) =
        (checker.responses(&observed.responses), checker.rejects(&observed.rejects));
    let documents = checker.documents(&observed.documents);
    let (archived, covered) = checker.files(&observed.files);
    let sinks = [(RESPONSES, responses), (STORE, documents), (ARCHIVE, archived)];
    checker.alike(&sinks);
    match when {
        When::Meanwhile => {
            checker.lost(ARCHIVE, &sinks[2].1, |place| covered.get(&place.0).is_some_and(|to| place.1 <= *to))
        }
        When::AtTheEnd => {
            for (sink, rows) in &sinks {
                checker.lost(sink, rows, |_| true);
                checker.balance(sink, rows, &rejects);
            }
            checker.lost_rejects(&rejects, &rows);
        }
    }
    checker.found.sort();
    checker.found
}

impl Checker {
    fn found(&mut self, wrong: Wrong, sink: &'static str, what: String) {
        self.found.push(Finding { wrong, sink, what });
    }

    fn parse(&mut self, sink: &'static str, place: &str, value: Value) -> Option<Row> {
        let row = Row::deserialize(&value);
        row.map_err(|error| self.found(Wrong::Torn, sink, format!("{place} is no row: {error}: {value}"))).ok()
    }

    fn parse_text(&mut self, sink: &'static str, place: &str, text: &[u8]) -> Option<Row> {
        match serde_json::from_slice(text) {
            Ok(value) => self.parse(sink, place, value),
            Err(error) => {
                let text = String::from_utf8_lossy(text);
                self.found(Wrong::Torn, sink, format!("{place} is no JSON: {error}: {text:?}"));
                None
            }
        }
    }

    /// One more row of a sink: is it the message's, and there once?
    fn add(&mut self, sink: &'static str, place: &str, rows: &mut Rows, row: Row) {
        let what = format!("{place} has {row:?}");
        match self.fates.get(&row.place()) {
            None => return self.found(Wrong::Foreign, sink, format!("{what}: the log has no such message")),
            Some(Fate::Rows { id, n, count }) => {
                let (_, _, index) = row.key();
                if *id != row.id
                    || *n != row.n
                    || index < 0
                    || index >= *count
                    || !self.deployed.contains(&row.factor())
                {
                    let fate = format!("{:?}", self.fates[&row.place()]);
                    self.found(Wrong::Answer, sink, format!("{what}: the message's is {fate}"));
                }
            }
            Some(fate) => {
                let fate = format!("{fate:?}");
                return self.found(Wrong::Foreign, sink, format!("{what}: the message is {fate}"));
            }
        }
        let factor = *self.factors.entry(row.generation.clone()).or_insert(row.factor());
        if factor != row.factor() {
            self.found(Wrong::Answer, sink, format!("{what}: this generation's factor was {factor}"));
        }
        if let Some(first) = rows.insert(row.key(), row) {
            self.found(Wrong::Twice, sink, format!("{place} has row {:?} again", first.key()));
        }
    }

    fn responses(&mut self, records: &[Record]) -> Rows {
        let (mut rows, mut last) = (Rows::new(), BTreeMap::new());
        for record in records {
            let place = format!("offset {} of partition {}", record.offset, record.partition);
            let Some(row) = self.parse_text(RESPONSES, &place, &record.value) else { continue };
            self.follows(RESPONSES, &place, &mut last, (record.partition, row.partition), row.key());
            self.add(RESPONSES, &place, &mut rows, row);
        }
        rows
    }

    /// Rows of one partition of the log are in the log's order wherever they are in any.
    fn follows<Lane: Ord>(
        &mut self,
        sink: &'static str,
        place: &str,
        last: &mut BTreeMap<Lane, Key>,
        lane: Lane,
        key: Key,
    ) {
        // an equal one is told of as a repeat
        if let Some(before) = last.insert(lane, key).filter(|before| *before > key) {
            self.found(Wrong::Order, sink, format!("{place}: {key:?} comes after {before:?}"));
        }
    }

    /// Rows of a message that the store does not take.
    fn refused(&self, fate: &Fate) -> i64 {
        match fate {
            Fate::Rows { count, .. } if self.documents_of == DocumentsOf::FirstRows => count - 1,
            _ => 0,
        }
    }

    fn rejects(&mut self, records: &[Record]) -> Rejected {
        let (mut rejected, mut last) = (Rejected::default(), BTreeMap::new());
        for record in records {
            let at = format!("offset {} of partition {}", record.offset, record.partition);
            let Ok(reject) = serde_json::from_slice::<Value>(&record.value) else {
                self.found(Wrong::Torn, REJECTS, format!("{at} is no JSON"));
                continue;
            };
            let number = |name: &str| reject[name].as_i64().unwrap_or(-1);
            let place = (number("partition") as i32, number("offset"));
            // the stages of a batch refuse one after the other
            let lane = (record.partition, place.0, reject["stage"].as_str().map(str::to_owned));
            self.follows(REJECTS, &at, &mut last, lane, (place.0, place.1, 0));
            let of_store = reject["stage"] == STORE;
            match self.fates.get(&place) {
                Some(fate) if of_store && self.refused(fate) > 0 => {
                    self.is_about(&at, &reject, place, "duplicate_key");
                    let count = rejected.rows.entry(place).or_default();
                    *count += 1;
                    if *count > self.refused(&self.fates[&place]) {
                        self.found(Wrong::Twice, REJECTS, format!("{at} has a row of {place:?} again"));
                    }
                    continue;
                }
                Some(&Fate::Rejected(code)) if !of_store => self.is_about(&at, &reject, place, code),
                fate => {
                    let what = format!("{at} has {place:?}, whose message is {fate:?}: {reject}");
                    self.found(Wrong::Foreign, REJECTS, what);
                }
            }
            if !rejected.messages.insert(place) {
                self.found(Wrong::Twice, REJECTS, format!("{at} has {place:?} again"));
            }
        }
        rejected
    }

    fn is_about(&mut self, at: &str, reject: &Value, place: Place, code: &str) {
        let original = reject["original"].as_str().unwrap_or_default().as_bytes();
        if reject["code"] != *code || original != self.messages[&place] {
            self.found(Wrong::Answer, REJECTS, format!("{at}: not {code}, or not the message: {reject}"));
        }
    }

    fn documents(&mut self, documents: &[(String, Value)]) -> Rows {
        let mut rows = Rows::new();
        for (id, document) in documents {
            let (place, mut document) = (format!("document {id}"), document.clone());
            let mark = document.as_object_mut().and_then(|fields| fields.remove("_millrace"));
            let Some(row) = self.parse(STORE, &place, document) else { continue };
            let (partition, offset, index) = row.key();
            let further = if index == 0 { String::new() } else { format!("/{index}") };
            let end = format!("/{partition}/{offset}{further}");
            let stands = match self.documents_of {
                DocumentsOf::Rows => id.ends_with(&end),
                DocumentsOf::FirstRows => *id == row.id && text(&mark).is_some_and(|mark| mark.ends_with(&end)),
                DocumentsOf::LastRows => *id == row.id && is_place_of_one(&mark, (partition, offset, index)),
            };
            if !stands {
                self.found(Wrong::Answer, STORE, format!("{place} is about another row: {row:?}"));
            }
            self.add(STORE, &place, &mut rows, row);
        }
        rows
    }

    /// The rows, and the last offset of each partition that a file covers.
    fn files(&mut self, files: &[(String, Vec<u8>)]) -> (Rows, BTreeMap<i32, i64>) {
        let (mut rows, mut last, mut covered) = (Rows::new(), BTreeMap::new(), BTreeMap::new());
        let mut files: Vec<_> = files.iter().collect();
        files.sort();
        for (name, text) in files {
            let Some((partition, first, end)) = range(&self.topic, name) else {
                self.found(Wrong::Torn, ARCHIVE, format!("{name} is not the name of a published file"));
                continue;
            };
            let before = covered.insert(partition, end).unwrap_or(-1);
            if first > end || first <= before {
                self.found(Wrong::Twice, ARCHIVE, format!("{name} covers what a file up to {before} does"));
            }
            if !text.ends_with(b"\n") {
                self.found(Wrong::Torn, ARCHIVE, format!("{name} ends within a line"));
            }
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let Some(row) = self.parse_text(ARCHIVE, name, line) else { continue };
                if row.partition != partition || row.offset < first || row.offset > end {
                    self.found(Wrong::Foreign, ARCHIVE, format!("{name} has {row:?}"));
                }
                self.follows(ARCHIVE, name, &mut last, partition, row.key());
                self.add(ARCHIVE, name, &mut rows, row);
            }
        }
        (rows, covered)
    }

    /// Field by field, wherever two sinks have the row.
    fn alike(&mut self, sinks: &[(&'static str, Rows)]) {
        let mut answers: Rows = Rows::new();
        for (sink, rows) in sinks {
            for (key, row) in rows {
                let answer = answers.entry(*key).or_insert_with(|| row.clone());
                if answer != row {
                    let what = format!("{row:?} is {answer:?} elsewhere");
                    self.found.push(Finding { wrong: Wrong::Answer, sink, what });
                }
            }
        }
    }

    fn lost(&mut self, sink: &'static str, rows: &Rows, must_be_there: impl Fn(Place) -> bool) {
        let mut lost = Vec::new();
        for (&place, fate) in self.fates.iter().filter(|(place, _)| must_be_there(**place)) {
            if let Fate::Rows { id, count, .. } = fate {
                let indexes = match (sink, self.documents_of) {
                    (STORE, DocumentsOf::FirstRows) => 0..1,
                    (STORE, DocumentsOf::LastRows) => count - 1..*count,
                    _ => 0..*count,
                };
                let missing = indexes.filter(|index| !rows.contains_key(&(place.0, place.1, *index)));
                lost.extend(missing.map(|index| format!("row {index} of {id}, {place:?}")));
            }
        }
        lost.into_iter().for_each(|what| self.found(Wrong::Lost, sink, what));
    }

    fn lost_rejects(&mut self, rejected: &BTreeSet<Place>, rows: &BTreeMap<Place, i64>) {
        let is_lost = |(place, fate): &(&Place, &Fate)| match fate {
            Fate::Rejected(_) => !rejected.contains(place),
            fate => rows.get(place).copied().unwrap_or(0) < self.refused(fate),
        };
        let lost = self.fates.iter().filter(is_lost).map(|(place, fate)| format!("{place:?}, {fate:?}"));
        for what in lost.collect::<Vec<_>>() {
            self.found(Wrong::Lost, REJECTS, what);
        }
    }

    /// Messages in = messages with rows + filtered + rejected, position by position, from what is at the sink alone.
    fn balance(&mut self, sink: &'static str, rows: &Rows, rejected: &BTreeSet<Place>) {
        let answered: BTreeSet<Place> = rows.values().map(Row::place).collect();
        let filtered = self.fates.iter().filter(|(_, fate)| **fate == Fate::Filtered).map(|(place, _)| *place);
        let mut out = BTreeMap::<Place, u32>::new();
        for place in answered.into_iter().chain(filtered).chain(rejected.iter().copied()) {
            *out.entry(place).or_default() += 1;
        }
        let places: BTreeSet<Place> = self.fates.keys().copied().chain(out.keys().copied()).collect();
        for place in places {
            let (into, out) = (u32::from(self.fates.contains_key(&place)), out.get(&place).copied().unwrap_or(0));
            if into != out {
                self.found(Wrong::Balance, sink, format!("{place:?}: {into} in, {out} out, filtered or rejected"));
            }
        }
    }
}

fn text(mark: &Option<Value>) -> Option<&str> {
    mark.as_ref()?.as_str()
}

/// A field for the one partition, whose name ends with it: offset and index, with zeros before them.
fn is_place_of_one(mark: &Option<Value>, (partition, offset, index): Key) -> bool {
    let Some(Value::Object(fields)) = mark else { return false };
    let is_it = |(name, place): (&String, &Value)| {
        name.ends_with(&format!("/{partition}")) && *place == format!("{offset:019}/{index:010}")
    };
    fields.len() == 1 && fields.iter().all(is_it)
}

/// Partition, first and last offset of `<topic>-<partition>-<first>-<last>.jsonl`.
fn range(topic: &str, name: &str) -> Option<(i32, i64, i64)> {
    let numbers = name.strip_prefix(topic)?.strip_prefix('-')?.strip_suffix(".jsonl")?;
    let numbers: Vec<i64> = numbers.split('-').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let [partition, first, last] = numbers[..] else { return None };
    Some((partition as i32, first, last))
}
