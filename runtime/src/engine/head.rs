//! The head: what is in step with the log. Rows and rejects go to Kafka, and with them, in one transaction, how far
//! the source was read and which generation owns which offsets.
//!
//! Invariants: decide first: a batch reaches the other sinks only after a commit that is known to have happened; when
//! the head takes, commits and tells is decided in `progress`. Where rejects go elsewhere, a stage's are a sink's to
//! write, after the commit; those of rows that are too large for their topic are durable before it, and a repeat is
//! known for one: which rows these are follows from the generation and the topic's limit, and what is known belongs to
//! both.
//! Knows nothing of how the other sinks keep their positions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use arrow_array::Array;
use arrow_array::cast::AsArray;

use crate::batch::{Refused, Reject};
use crate::engine::fan_out::FanOut;
use crate::engine::history::History;
use crate::engine::progress::{Act, Held, Known, Progress};
use crate::engine::session::Context;
use crate::error::{Error, Result};
use crate::json::encode::Encoder;
use crate::plan::{Plan, SinkKind};
use crate::rejects::{self, Encoders};
use crate::sink::refusals::{self, Destination, Epochs, Refusals, ToRejects};
use crate::sink::transaction::{TooLarge, Transactions};
use crate::sink::{Log, Outbound, Positions, Written};
use crate::source::Membership;

/// A required sink that is only slower than the log makes the head wait again and again: not every time is
/// worth a word.
const SAY_AFTER: Duration = Duration::from_secs(1);

/// A batch after its last stage.
pub struct Computed {
    pub outbound: Arc<Outbound>,
    pub generation: Arc<Plan>,
    /// Who the consumer was when the batch was read.
    pub member: Membership,
}

/// A Kafka sink's way of writing one generation's rows.
struct Lane {
    sink: Arc<str>,
    topic: String,
    /// Name of the text column that becomes the record's key.
    key: Option<String>,
    /// Name of the bool column that says which rows it takes.
    when: Option<String>,
    encoder: Encoder,
}

fn lanes(plan: &Plan) -> Vec<Lane> {
    let lane = |sink: &crate::plan::SinkPlan| match &sink.kind {
        SinkKind::Kafka { topic, key } => Some(Lane {
            sink: sink.name.clone(),
            topic: topic.clone(),
            key: key.map(|index| plan.schema.0[index].name.clone()),
            when: sink.when.clone(),
            encoder: Encoder::new(&plan.schema, &sink.columns),
        }),
        SinkKind::Mongodb(_) | SinkKind::Hdfs(_) => None,
    };
    plan.sinks.iter().filter_map(lane).collect()
}

/// Rows of one sink that are too large for its topic.
struct TooLargeRows {
    sink: Arc<str>,
    topic: String,
    outbound: Arc<Outbound>,
    refused: Vec<Refused>,
}

#[derive(Clone, Copy)]
struct Waits {
    since: Instant,
    is_said: bool,
}

pub struct Head<'a> {
    context: &'a Context<'a>,
    log: &'a Log,
    place: rejects::Place,
    encoders: Encoders,
    transactions: Transactions,
    fan_out: FanOut,
    progress: Progress<Computed, Membership>,
    /// Since when it waits for a required sink.
    waits: Option<Waits>,
    lanes: HashMap<Arc<str>, Vec<Lane>>,
    /// Of the open transaction, where rejects are no part of it.
    too_large: Vec<TooLargeRows>,
    /// What takes these, by who they are.
    refusals: HashMap<String, ToRejects>,
    /// What is in the open transaction, to be counted once it is committed.
    sent: BTreeMap<Arc<str>, Written>,
    refused: Vec<Reject>,
    /// One record's value, on its way.
    value: Vec<u8>,
}

impl<'a> Head<'a> {
    pub fn new(
        context: &'a Context<'a>,
        log: &'a Log,
        transactions: Transactions,
        fan_out: FanOut,
        positions: Positions,
        histories: BTreeMap<i32, History>,
        member: Membership,
    ) -> Head<'a> {
        Head {
            context,
            log,
            place: rejects::Place::of(context.plan),
            encoders: Encoders::new(),
            transactions,
            fan_out,
            progress: Progress::new(context.plan.commit, positions, histories, member, Instant::now()),
            waits: None,
            lanes: HashMap::new(),
            too_large: Vec::new(),
            refusals: HashMap::new(),
            sent: BTreeMap::new(),
            refused: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Commits batches until no more come; the sinks are to be finished then, whatever came of it.
    pub fn run(mut self, batches: &Receiver<Computed>, over: impl Fn() -> bool) -> (Result<()>, FanOut) {
        let done = self.drain(batches, over);
        (done, self.fan_out)
    }

    fn drain(&mut self, batches: &Receiver<Computed>, over: impl Fn() -> bool) -> Result<()> {
        loop {
            self.fan_out.must_go_on()?;
            match self.progress.next(Instant::now(), self.fan_out.proofs().asked()) {
                Act::Receive(until) => match batches.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(next) => self.progress.came(next),
                    Err(RecvTimeoutError::Timeout) => self.progress.waited(),
                    Err(RecvTimeoutError::Disconnected) => self.progress.end(),
                },
                Act::LookForRoom => {
                    let has_room = self.look_for_room();
                    if !has_room && over() {
                        return Ok(());
                    }
                    self.progress.looked(has_room);
                }
                Act::Take(next) => self.take(next)?,
                Act::Commit => self.commit()?,
                Act::End => return Ok(()),
            }
        }
    }

    /// Has every required sink room? A wait that is long is said.
    fn look_for_room(&mut self) -> bool {
        let lacking = self.fan_out.required_without_room();
        if lacking.is_empty() {
            if let Some(Waits { since, is_said: true }) = self.waits.take() {
                self.context.head_waits(&[]);
                tracing::info!(waited_ms = since.elapsed().as_millis() as u64, "the head goes on");
            }
            return true;
        }
        let waits = self.waits.get_or_insert_with(|| Waits { since: Instant::now(), is_said: false });
        if waits.since.elapsed() >= SAY_AFTER {
            self.context.head_waits(&lacking);
            if !std::mem::replace(&mut waits.is_said, true) {
                let sinks = lacking.join(", ");
                tracing::warn!(%sinks, "the head waits: a sink that is required does not take its rows");
            }
        }
        false
    }

    fn take(&mut self, computed: Computed) -> Result<()> {
        self.send_rows(&computed)?;
        self.reject(&computed.outbound, &computed.outbound.batch.rejects)?;
        let (outbound, member) = (computed.outbound.clone(), computed.member.clone());
        self.progress.took(computed, &outbound.batch.spans, Held::of(&outbound.batch), member, Instant::now())
    }

    fn send_rows(&mut self, computed: &Computed) -> Result<()> {
        let generation = &computed.generation;
        let lanes = self.lanes.remove(&generation.generation).unwrap_or_else(|| lanes(generation));
        for lane in &lanes {
            let (since, mut sent, mut refused) = (Instant::now(), Written::default(), Vec::new());
            let outbound = computed.outbound.taken(lane.when.as_deref())?;
            let batch = &outbound.batch;
            let rows = lane.encoder.batch(&batch.columns)?;
            let keys = lane.key.as_ref().and_then(|key| batch.columns.column_by_name(key)?.as_string_opt::<i32>());
            for row in 0..batch.rows() {
                self.value.clear();
                rows.row(row, &mut self.value);
                let headers = batch.origins.traces.headers(batch.lineage[row]);
                let key = keys.filter(|keys| keys.is_valid(row)).map(|keys| keys.value(row).as_bytes());
                match self.transactions.send(&lane.topic, key, &self.value, headers)? {
                    Ok(()) => sent.row(self.value.len()),
                    Err(TooLarge) => {
                        let bytes = self.value.len() + key.unwrap_or_default().len();
                        let limit = self.transactions.record_bytes_max(&lane.topic);
                        refused.push(too_large(row, bytes, &lane.topic, limit));
                    }
                }
            }
            self.context.metrics.sink(&lane.sink).took(since.elapsed());
            *self.sent.entry(lane.sink.clone()).or_default() += sent;
            self.refuse(lane, &outbound, refused)?;
        }
        self.lanes.insert(generation.generation.clone(), lanes);
        Ok(())
    }

    fn refuse(&mut self, lane: &Lane, outbound: &Arc<Outbound>, refused: Vec<Refused>) -> Result<()> {
        if self.context.plan.rejects.topic().is_some() {
            let reject = |refused| outbound.batch.reject(&lane.sink, refused);
            return self.reject(outbound, &refused.into_iter().map(reject).collect::<Vec<_>>());
        }
        if !refused.is_empty() {
            let (sink, topic, outbound) = (lane.sink.clone(), lane.topic.clone(), outbound.clone());
            self.too_large.push(TooLargeRows { sink, topic, outbound, refused });
        }
        Ok(())
    }

    /// Into the transaction, if that is where they go; and into the figures.
    fn reject(&mut self, outbound: &Outbound, rejects: &[Reject]) -> Result<()> {
        if rejects.is_empty() {
            return Ok(());
        }
        if let Some(topic) = self.context.plan.rejects.topic() {
            self.send_rejects(topic, &self.place.of_some(outbound, rejects, Vec::new())?)?;
        }
        self.refused_with(outbound, rejects);
        Ok(())
    }

    /// To be counted with the commit.
    fn refused_with(&mut self, outbound: &Outbound, rejects: &[Reject]) {
        rejects.iter().for_each(|reject| outbound.batch.origins.traces.refused(reject));
        self.refused.extend_from_slice(rejects);
    }

    fn send_rejects(&mut self, topic: &str, rejects: &Outbound) -> Result<()> {
        let batch = &rejects.batch;
        let whole = self.encoders.whole.batch(&batch.columns)?;
        let without_message = self.encoders.without_message.batch(&batch.columns)?;
        for (row, &message) in batch.lineage.iter().enumerate() {
            let headers = batch.origins.traces.headers(message);
            self.value.clear();
            whole.row(row, &mut self.value);
            if self.transactions.send(topic, batch.origins.key(message), &self.value, headers)?.is_ok() {
                continue;
            }
            self.value.clear();
            without_message.row(row, &mut self.value);
            if let Err(TooLarge) = self.transactions.send(topic, None, &self.value, headers)? {
                return Err(Error::stop(format!(
                    "a reject of {} bytes does not fit into topic `{topic}`",
                    self.value.len()
                )));
            }
        }
        Ok(())
    }

    /// Rejects that are no part of the transaction are durable before it.
    fn settle_too_large(&mut self) -> Result<()> {
        for TooLargeRows { sink, topic, outbound, refused } in std::mem::take(&mut self.too_large) {
            let limit = self.transactions.record_bytes_max(&topic);
            let who = format!("{}.{}.{limit}", refusals::who(&sink), outbound.generation);
            let Context { ground, plan, .. } = self.context;
            let fresh = || ToRejects::new(Destination::of(ground, plan, self.log), &sink, who.clone());
            let refusals = self.refusals.entry(who.clone()).or_insert_with(fresh);
            let rejects = self.context.handle.block_on(refusals.take(&outbound, &Epochs::new(), refused))?;
            self.refused_with(&outbound, &rejects);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.settle_too_large()?;
        let Head { fan_out, progress, transactions, context, .. } = self;
        let advances = progress.propose(fan_out.proofs().asked(), |partition| fan_out.slowest(partition))?;
        let (since, began) = (Instant::now(), SystemTime::now());
        transactions.commit(&advances, progress.member())?;
        let Known { from, batches, proof } = progress.committed(Instant::now());
        for computed in &batches {
            computed.outbound.batch.origins.traces.committed(&from, began);
        }
        fan_out.proofs().give(proof);
        let metrics = context.metrics;
        metrics.committed(batches.iter().map(|computed| &computed.outbound.batch), since.elapsed());
        std::mem::take(&mut self.sent).iter().for_each(|(sink, sent)| metrics.sink(sink).wrote(*sent));
        self.refused.drain(..).for_each(|refused| metrics.reject(&refused));
        context.heads(progress.heads());
        batches.iter().for_each(|computed| fan_out.committed(&computed.outbound));
        Ok(())
    }
}

fn too_large(row: usize, bytes: usize, topic: &str, limit: usize) -> Refused {
    let reason = format!("the row is {bytes} bytes as JSON, and a record of topic `{topic}` may have {limit}");
    Refused { row, code: "record_too_large", reason }
}
