//! Whether and where a message's rows are in each sink.
//!
//! MongoDB and the embedded documents know a row by its position. A record of a topic and a line of a file do not have
//! one: they are known by the key column, or by being what this file computes.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;

use super::message::{Owned, key_column};
use super::{Message, Options, Owner, WHO};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::json::decode::Message as _;
use crate::json::encode::Encoder;
use crate::plan::{Plan, SinkKind, SinkPlan};
use crate::probe;
use crate::sink::{Context, Found, FoundRow, Log, Outbound, embedded, hdfs, mongodb, refusals};
use crate::topic::search::{self, Searched};
use crate::topic::{Manner, Place, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    There,
    NotYet,
    /// The sink has passed it, and there is no row to write.
    Nothing,
    /// The sink has passed it, and what should be there is not.
    Missing,
    /// Not in the part of the topic, or in the file, that was looked at.
    NotFound,
    /// The sink could not be asked.
    NoAnswer,
}

#[derive(Debug, Serialize)]
pub struct InSink {
    pub sink: String,
    pub kind: &'static str,
    pub place: String,
    pub state: State,
    /// The first offset of the message's partition that the sink does not hold; None: it has no position, or was not
    /// asked.
    pub stands_at: Option<i64>,
    /// In words: how far was looked, why there was no answer.
    pub detail: Option<String>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub struct Row {
    pub place: String,
    pub generation: Option<String>,
    /// Is it what this file computes? None: it cannot be compared.
    pub as_computed: Option<bool>,
    pub row: Value,
}

pub struct Look<'a> {
    pub plan: &'a Plan,
    pub ground: &'a Ground,
    pub place: &'a Place,
    pub log: &'a Log,
    pub owner: &'a Owner,
    pub message: &'a Message,
    /// The rows as this file's generation gives them to the sinks.
    pub batch: Option<Batch>,
    pub options: Options,
}

/// How a row without a position is known.
struct Sought {
    /// Exactly as the sink writes them.
    lines: Vec<String>,
    /// Column and value.
    key: Option<(String, String)>,
}

impl Sought {
    fn is(&self, line: &str) -> bool {
        if self.lines.iter().any(|known| known == line) {
            return true;
        }
        let Some((column, value)) = &self.key else { return false };
        line.contains(value.as_str())
            && serde_json::from_str::<Value>(line)
                .is_ok_and(|row| row.get(column).and_then(Value::as_str) == Some(value))
    }
}

impl Look<'_> {
    /// A sink that cannot be asked is said, and is no reason to be silent about the others.
    pub fn sink(&self, handle: &Handle, sink: &SinkPlan, message: &Owned) -> Result<InSink> {
        let sought = self.sought(sink, message)?;
        let said = match &sink.kind {
            SinkKind::Kafka { topic, key } => self.records(topic, key.is_some(), &sought),
            _ => self.stored(handle, sink, &sought),
        };
        Ok(said.unwrap_or_else(Said::no_answer).named(sink))
    }

    fn sought(&self, sink: &SinkPlan, message: &Owned) -> Result<Sought> {
        let encoder = Encoder::new(&self.plan.schema, &sink.columns);
        let lines = self.batch.as_ref().map_or_else(|| Ok(Vec::new()), |batch| lines_of(sink, batch, &encoder))?;
        let column = match sink.kind {
            SinkKind::Kafka { key: Some(key), .. } => Some(self.plan.schema.0[key].name.as_str()),
            SinkKind::Kafka { key: None, .. } => None,
            _ => key_column(self.plan),
        };
        let key = column.and_then(|column| Some((column.to_owned(), key(self.batch.as_ref(), column, message)?)));
        Ok(Sought { lines, key })
    }

    /// Sinks that keep a position of their own.
    fn stored(&self, handle: &Handle, sink: &SinkPlan, sought: &Sought) -> Result<Said> {
        let context = Context::of_sink(self.plan, sink, self.log);
        let found = self.found(handle, &context, &sink.kind, |line| sought.is(line))?;
        // BSON has types that JSON has not
        let comparable = !matches!((&sink.kind, self.ground), (SinkKind::Mongodb(_), Ground::Services));
        let rows = self.rows(found.rows, if comparable { &sought.lines } else { &[] });
        let said = self.judged(found.stands_at, found.file, rows, sought);
        Ok(match (said.state, sink.publishes_within()) {
            (State::NotYet, Some(time)) if !self.owner.is_ahead() => {
                let open = format!("its row may be in an open file, which is published within {} s", time.as_secs());
                Said { detail: Some(open), ..said }
            }
            _ => said,
        })
    }

    fn found(
        &self,
        handle: &Handle,
        context: &Context,
        kind: &SinkKind,
        is_row: impl Fn(&str) -> bool,
    ) -> Result<Found> {
        let at = (self.message.partition, self.message.offset);
        match (kind, self.ground) {
            (SinkKind::Mongodb(plan), Ground::Services) => handle.block_on(mongodb::find(context, plan, at)),
            (SinkKind::Mongodb(plan), Ground::Embedded(folder)) => embedded::find(context, folder, plan, at),
            (SinkKind::Hdfs(plan), Ground::Services) => {
                let files = hdfs::NameNode::new(plan, context.timeout)?;
                handle.block_on(hdfs::find(files, context, &plan.directory, at, is_row))
            }
            (SinkKind::Hdfs(plan), Ground::Embedded(folder)) => {
                let files = hdfs::Local::new(folder.join("hdfs"));
                handle.block_on(hdfs::find(files, context, &plan.directory, at, is_row))
            }
            (SinkKind::Kafka { .. }, _) => Err(Error::stop("the head's sinks have no position of their own")),
        }
    }

    fn rows(&self, found: Vec<FoundRow>, lines: &[String]) -> Vec<Row> {
        let computed = self.computed(lines);
        let row = |FoundRow { place, row }| Row {
            place,
            generation: generation(&row, self.plan),
            as_computed: (!computed.is_empty()).then(|| computed.contains(&self.bare(row.clone()))),
            row,
        };
        found.into_iter().map(row).collect()
    }

    fn computed(&self, lines: &[String]) -> Vec<Value> {
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).map(|row| self.bare(row)).collect()
    }

    /// The same answer of another generation is the same answer.
    fn bare(&self, mut row: Value) -> Value {
        row.as_object_mut().and_then(|row| row.remove(&self.plan.generation_column));
        row
    }

    fn judged(&self, stands_at: Option<i64>, file: Option<String>, rows: Vec<Row>, sought: &Sought) -> Said {
        let has_passed = stands_at.is_some_and(|position| position > self.message.offset);
        let state = match (rows.is_empty(), has_passed, file.is_some()) {
            (false, _, _) => State::There,
            (true, false, false) => State::NotYet,
            // what another generation made of it is not known here
            (true, _, _) if self.owner.is(self.plan) && sought.lines.is_empty() => State::Nothing,
            (true, _, true) if !self.owner.is(self.plan) => State::NotFound,
            (true, _, _) => State::Missing,
        };
        let detail = file.filter(|_| state != State::There).map(|file| format!("{file} has its offset"));
        Said { state, stands_at, detail, rows }
    }

    /// Records of a topic that the head writes.
    fn records(&self, topic: &str, has_key: bool, sought: &Sought) -> Result<Said> {
        let key = sought.key.as_ref().map(|(_, value)| value.as_bytes()).filter(|_| has_key);
        if sought.lines.is_empty() && self.owner.is(self.plan) {
            return Ok(self.said(State::Nothing, None));
        }
        if sought.lines.is_empty() && key.is_none() && !self.owner.is_ahead() {
            let unknown = "nothing is known to look for: this file makes no row";
            return Ok(self.said(State::NotFound, Some(unknown.into())));
        }
        // another message may have the key: what this file's generation wrote is what this file computes
        let computed = if self.owner.is(self.plan) { self.computed(&sought.lines) } else { Vec::new() };
        self.look_through(topic, |key_there, value| {
            let is_it = match key {
                Some(key) => key_there == Some(key),
                None => std::str::from_utf8(value).is_ok_and(|value| sought.is(value)),
            };
            let row = is_it.then(|| serde_json::from_slice::<Value>(value).unwrap_or(Value::Null))?;
            (computed.is_empty() || computed.contains(&self.bare(row.clone()))).then_some(row)
        })
        .map(|said| Said { rows: self.compared(said.rows, &sought.lines), ..said })
    }

    fn compared(&self, rows: Vec<Row>, lines: &[String]) -> Vec<Row> {
        let found = rows.into_iter().map(|Row { place, row, .. }| FoundRow { place, row });
        self.rows(found.collect(), lines)
    }

    pub fn rejects(&self, handle: &Handle) -> Result<InSink> {
        let rejects = &self.plan.rejects;
        let said = match rejects.topic() {
            Some(topic) => self.look_through(topic, |_, value| self.reject(value)),
            None => self.stored_rejects(handle, rejects),
        };
        let said = said.map(|said| match said.state {
            // a row that was answered is none of theirs
            State::NotFound if self.batch.is_some() && self.owner.is(self.plan) => {
                Said { state: State::Nothing, ..said }
            }
            _ => said,
        });
        Ok(said.unwrap_or_else(Said::no_answer).named(rejects))
    }

    /// A reject says where it comes from.
    fn reject(&self, record: &[u8]) -> Option<Value> {
        let reject: Value = serde_json::from_slice(record).ok()?;
        let is_ours = reject["pipeline"] == *self.plan.name
            && reject["topic"] == *self.message.topic
            && reject["partition"] == self.message.partition
            && reject["offset"] == self.message.offset;
        is_ours.then_some(reject)
    }

    /// Those of the stages, and of each sink that keeps its own apart.
    fn stored_rejects(&self, handle: &Handle, rejects: &SinkPlan) -> Result<Said> {
        let is_ours = |line: &str| self.reject(line.as_bytes()).is_some();
        let of_stages = Context::of_sink(self.plan, rejects, self.log);
        let Found { stands_at, rows: mut found, .. } = self.found(handle, &of_stages, &rejects.kind, is_ours)?;
        for sink in self.plan.sinks.iter().filter(|sink| sink.topic().is_none()) {
            let who = refusals::who(&sink.name);
            let context = Context::of_rejects(&self.plan.name, who.as_str().into(), rejects, self.log.clone());
            found.extend(self.found(handle, &context, &rejects.kind.apart(&who), is_ours)?.rows);
        }
        let head_has_some = self.plan.sinks.iter().any(|sink| sink.topic().is_some());
        let unseen = "those of Kafka sinks, rows that are too large, are not looked for".to_owned();
        let detail = Some(unseen).filter(|_| head_has_some && found.is_empty());
        let state = match (found.is_empty(), stands_at.is_some_and(|position| position > self.message.offset)) {
            (false, _) => State::There,
            (true, true) => State::NotFound,
            (true, false) => State::NotYet,
        };
        let row = |FoundRow { place, row }| Row { place, generation: text(&row, "generation"), as_computed: None, row };
        Ok(Said { state, stands_at, detail, rows: found.into_iter().map(row).collect() })
    }

    /// Records of a topic of the head's cluster, from its end backwards.
    fn look_through(&self, topic: &str, mut is_it: impl FnMut(Option<&[u8]>, &[u8]) -> Option<Value>) -> Result<Said> {
        if self.owner.is_ahead() {
            return Ok(self.said(State::NotYet, None));
        }
        let mut reader = Reader::open(self.place, topic, Manner::looking(WHO))?;
        let Searched { hits, offsets, to_the_beginning } =
            search::backwards(&mut reader, self.options.look_back_messages_max, |record| {
                is_it(record.key(), record.value().unwrap_or_default())
            })?;
        if hits.is_empty() {
            let all = if to_the_beginning { "all that it holds, " } else { "its last " };
            return Ok(self.said(State::NotFound, Some(format!("looked through {all}{offsets} offsets"))));
        }
        let rows = hits.into_iter().map(|hit| Row {
            place: format!("{topic}:{}:{}", hit.partition, hit.offset),
            generation: generation(&hit.what, self.plan).or_else(|| text(&hit.what, "generation")),
            as_computed: None,
            row: hit.what,
        });
        Ok(Said { rows: rows.collect(), ..self.said(State::There, None) })
    }

    /// Of what is part of the head's transaction.
    fn said(&self, state: State, detail: Option<String>) -> Said {
        Said { state, stands_at: self.owner.group_stands_at, detail, rows: Vec::new() }
    }
}

/// What the sink gets of these rows.
fn lines_of(sink: &SinkPlan, batch: &Batch, encoder: &Encoder) -> Result<Vec<String>> {
    let outbound = Arc::new(Outbound { batch: batch.clone(), generation: Arc::from("") });
    probe::lines(encoder, &outbound.taken(sink.when.as_deref())?.batch)
}

/// From the row, or from the message, where this file makes no row of it.
pub fn key(batch: Option<&Batch>, column: &str, message: &Owned) -> Option<String> {
    if let Some(batch) = batch {
        let encoder = Encoder::of_names([column]);
        let first = probe::lines(&encoder, batch).ok()?.into_iter().next()?;
        return serde_json::from_str::<Value>(&first).ok()?[column].as_str().map(str::to_owned);
    }
    let value = serde_json::from_slice::<Value>(message.value()?).ok()?;
    value.get(column)?.as_str().map(str::to_owned)
}

fn generation(row: &Value, plan: &Plan) -> Option<String> {
    text(row, &plan.generation_column)
}

fn text(row: &Value, field: &str) -> Option<String> {
    row.get(field)?.as_str().map(str::to_owned)
}

struct Said {
    state: State,
    stands_at: Option<i64>,
    detail: Option<String>,
    rows: Vec<Row>,
}

impl Said {
    fn no_answer(error: Error) -> Said {
        Said { state: State::NoAnswer, stands_at: None, detail: Some(error.to_string()), rows: Vec::new() }
    }

    fn named(self, sink: &SinkPlan) -> InSink {
        let (kind, place) = match &sink.kind {
            SinkKind::Kafka { topic, .. } => ("kafka", topic.clone()),
            SinkKind::Mongodb(mongodb) => ("mongodb", mongodb.namespace()),
            SinkKind::Hdfs(hdfs) => ("hdfs", hdfs.directory.clone()),
        };
        let Said { state, stands_at, detail, rows } = self;
        InSink { sink: sink.name.to_string(), kind, place, state, stands_at, detail, rows }
    }
}
