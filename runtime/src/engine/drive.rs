//! One sink at work: does what its lane says, and tells the lane what came of it.
//!
//! A driver's futures are deep: what a writer awaits is boxed.
//!
//! Invariant: a writer that answered an error is dropped, and the next is opened anew, which fences, cleans and reads
//! the position; before that the group is asked whether the partitions are still this worker's, or two workers would
//! take them from each other for ever. A sink's error ends nobody else's work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::batch::{Batch, Span};
use crate::clock::now_seconds;
use crate::engine::lane::{Act, Beyond, Lane, Limits, Queued, State, Stretch};
use crate::engine::passage::Gap;
use crate::engine::reread::{Given, Material, Rereader};
use crate::engine::seen::Seen;
use crate::error::{Error, Kind, Result};
use crate::observe::trace::Writes;
use crate::observe::{SinkMetrics, SinkState};
use crate::plan::{OnGap, SinkPlan, SinkStart};
use crate::positions;
use crate::rejects;
use crate::sink::{AnyWriter, Outbound, Positions, Writer, Written};

/// Memory of rows that wait for one sink; beyond it the sink reads the log again.
const QUEUE_ROWS_MAX: usize = 16_384;
const QUEUE_BYTES_MAX: usize = 32 << 20;
const JOIN_MESSAGES_MAX: i64 = 4_096;
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How often a sink that is not in step says how far it is.
const TELL_AFTER: Duration = Duration::from_secs(1);

const LIMITS: Limits = Limits {
    queue_rows_max: QUEUE_ROWS_MAX,
    queue_bytes_max: QUEUE_BYTES_MAX,
    join_messages_max: JOIN_MESSAGES_MAX,
    backoff_first: BACKOFF_FIRST,
    backoff_max: BACKOFF_MAX,
};

/// What the head and the sink's task share.
pub struct Link {
    lane: Mutex<Lane<Arc<Outbound>>>,
    /// The lane has changed: for the sink's task, and for a head that waits for room.
    changed: Notify,
    room: Condvar,
}

impl Link {
    pub fn new(required: bool, heads: Positions) -> Link {
        let lane = Mutex::new(Lane::new(LIMITS, required, heads));
        Link { lane, changed: Notify::new(), room: Condvar::new() }
    }

    fn lane(&self) -> MutexGuard<'_, Lane<Arc<Outbound>>> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn committed(&self, queued: Queued<Arc<Outbound>>) {
        self.lane().committed(queued);
        self.changed.notify_one();
    }

    /// Waits until the head may go on without leaving a required sink behind, or `time` is over: is it held still?
    pub fn holds_head(&self, time: Duration) -> bool {
        let waited = self.room.wait_timeout_while(self.lane(), time, |lane| lane.holds_head());
        waited.unwrap_or_else(PoisonError::into_inner).0.holds_head()
    }

    pub fn end(&self) {
        self.lane().end();
        self.changed.notify_one();
    }

    /// Why the sink has stopped for good, if it has.
    pub fn stopped(&self) -> Option<String> {
        self.lane().stopped().map(str::to_owned)
    }

    /// The first offset of a partition that is not durable, as far as anybody knows.
    pub fn durable(&self, partition: i32) -> i64 {
        self.lane().durable(partition)
    }
}

/// Sinks ask the head for a commit that the group has not fenced.
#[derive(Default)]
pub struct Proofs {
    asked: AtomicU64,
    given: watch::Sender<u64>,
}

impl Proofs {
    /// The last question. A commit that begins after it, and is known to have happened, answers it.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    pub fn give(&self, ticket: u64) {
        self.given.send_replace(ticket);
    }

    async fn ask(&self) {
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        // its sender is here: it is never closed
        let _ = self.given.subscribe().wait_for(|given| *given >= ticket).await;
    }
}

pub struct Driver {
    pub sink: SinkPlan,
    pub material: Arc<Material>,
    /// Where partitions begin of which the sink has never held anything.
    pub starts: Positions,
    pub seen: Arc<Seen>,
    pub link: Arc<Link>,
    pub proofs: Arc<Proofs>,
    pub metrics: Arc<SinkMetrics>,
    pub worker: i32,
    pub handle: Handle,
}

/// What a driver holds while it works.
#[derive(Default)]
struct Tools {
    writer: Option<AnyWriter>,
    rereader: Option<Rereader>,
    /// What of the writer's was counted.
    counted: Written,
    /// Of messages that are followed.
    writes: Option<Writes>,
    began: Option<Began>,
}

/// How catching up began, for its speed.
#[derive(Clone, Copy)]
struct Began {
    at: Instant,
    behind: i64,
    taken: i64,
}

impl Driver {
    /// Until the session ends. An error: this sink has stopped, and says why.
    pub async fn run(self) -> Result<()> {
        let mut tools = Tools::default();
        loop {
            let act = self.link.lane().next(Instant::now());
            self.tell(&mut tools);
            let done = match act {
                Act::End => break,
                Act::Prove => self.prove().await,
                Act::Open => self.open(&mut tools).await,
                Act::Write(outbound) => self.write(&mut tools, outbound).await,
                Act::Reread(stretch) => self.reread(&mut tools, stretch).await,
                Act::Wait(until) => self.wait(&mut tools, until).await,
            };
            if let Err(error) = done {
                // what it made durable before it failed is so all the same
                self.durable(&mut tools);
                tools = Tools::default();
                self.failed(&error);
            }
            self.link.room.notify_all();
        }
        self.finish(&mut tools).await
    }

    async fn prove(&self) -> Result<()> {
        tokio::select! {
            biased;
            () = self.proofs.ask() => self.link.lane().proved().map_err(|beyond| self.beyond(beyond)),
            // the session may end instead
            () = self.link.changed.notified() => Ok(()),
        }
    }

    fn beyond(&self, Beyond { partition, position, head }: Beyond) -> Error {
        let Material { plan, ground, .. } = &*self.material;
        let reset = |what: &str| positions::command(plan, ground, what);
        Error::stop(format!(
            "it stands at offset {position} of partition {partition}, beyond the consumer group's {head}: the group's \
             offsets expired or were reset. To set the group's: `{} --to {partition}:{position}`; to have this sink \
             begin again: `{} --to {partition}:{head}`",
            reset("--head"),
            reset(&format!("--sink {}", self.sink.name)),
        ))
    }

    async fn open(&self, tools: &mut Tools) -> Result<()> {
        let Material { plan, ground, log, .. } = &*self.material;
        let Some(mut writer) = AnyWriter::new(ground, plan, &self.sink, log)? else {
            return Err(Error::stop("it has no position of its own"));
        };
        let starts = self.seen.starts(&self.sink.name, &self.starts);
        let positions = Box::pin(writer.open(&starts)).await?;
        tools.writer = Some(writer);
        self.durable(tools);
        tools.writes = Some(Writes::new(&self.sink.name));
        self.link.lane().opened(positions);
        Ok(())
    }

    async fn write(&self, tools: &mut Tools, outbound: Arc<Outbound>) -> Result<()> {
        tools.rereader = None;
        self.give(tools, outbound).await
    }

    async fn give(&self, tools: &mut Tools, outbound: Arc<Outbound>) -> Result<()> {
        let writer = tools.writer.as_mut().ok_or_else(|| Error::retry("the sink is not open"))?;
        if let Some(writes) = &mut tools.writes {
            writes.begin(&outbound.batch, writer.durable());
        }
        let rows = match self.sink.is_rejects() {
            true => Arc::new(rejects::Place::of(&self.material.plan).of_stages(&outbound)?),
            false => outbound.taken(self.when(&outbound.generation)?.as_deref())?,
        };
        let since = Instant::now();
        let refused = Box::pin(writer.write(rows)).await?;
        self.metrics.took(since.elapsed());
        for reject in &refused {
            self.metrics.rejected(reject);
            outbound.batch.origins.traces.refused(reject);
        }
        self.link.lane().took(&outbound.batch.spans);
        self.roll(tools).await
    }

    /// The generation that owns the rows says which of them the sink takes, where it had the sink; else this one.
    fn when(&self, generation: &Arc<str>) -> Result<Option<String>> {
        let Material { plan, generations, .. } = &*self.material;
        let ours = || plan.when(&self.sink.name).flatten().map(str::to_owned);
        if *generation == plan.generation {
            return Ok(ours());
        }
        let owner = generations.get(generation)?;
        Ok(owner.when(&self.sink.name).map_or_else(ours, |when| when.map(str::to_owned)))
    }

    /// A file that is due is not put off by rows that keep coming.
    async fn roll(&self, tools: &mut Tools) -> Result<()> {
        let (Some(writer), now) = (tools.writer.as_mut(), Instant::now()) else { return Ok(()) };
        if writer.deadline().is_some_and(|deadline| deadline <= now) {
            Box::pin(writer.roll(now)).await?;
        }
        self.durable(tools);
        Ok(())
    }

    async fn reread(&self, tools: &mut Tools, stretch: Stretch) -> Result<()> {
        // who begins with the log's first row asks for rows that nobody decided on
        let reach = if self.sink.start == SinkStart::Earliest { self.starts.clone() } else { Positions::new() };
        let fresh = || Rereader::start(self.material.clone(), reach, &self.handle);
        let mut rereader = tools.rereader.take().unwrap_or_else(fresh);
        rereader.read(stretch)?;
        let mut told = Instant::now();
        while self.link.lane().may_reread() {
            match rereader.next().await? {
                Given::Batch(outbound) => self.give(tools, outbound).await?,
                Given::Gap(gap) => {
                    self.gap(tools, gap).await?;
                    break;
                }
                Given::Done => break,
            }
            if told.elapsed() >= TELL_AFTER {
                told = Instant::now();
                self.tell(tools);
            }
        }
        tools.rereader = Some(rereader);
        Ok(())
    }

    /// The log has dropped rows that this sink never got.
    async fn gap(&self, tools: &mut Tools, gap: Gap) -> Result<()> {
        let Gap { partition, from, to } = gap;
        let said = format!(
            "rows {from} to {} of partition {partition} are gone: the topic's retention dropped them before this sink \
             had them",
            to - 1
        );
        match self.sink.on_gap {
            OnGap::Stop => {
                let Material { plan, ground, .. } = &*self.material;
                let reset = positions::command(plan, ground, &format!("--sink {}", self.sink.name));
                Err(Error::stop(format!(
                    "{said}. To go on without them: `{reset} --to {partition}:{to}`, or `on_gap = \"skip\"` in \
                     `[sinks.{}]`",
                    self.sink.name
                )))
            }
            OnGap::Skip => {
                tracing::error!(sink = %self.sink.name, partition, from, to = to - 1, "{said}; on_gap = \"skip\": it goes on without them");
                let batch = Batch::empty(self.material.plan.schema.arrow(), vec![Span { partition, from, to }]);
                let generation = self.material.plan.generation.clone();
                self.give(tools, Arc::new(Outbound { batch, generation })).await
            }
        }
    }

    async fn wait(&self, tools: &mut Tools, until: Option<Instant>) -> Result<()> {
        tools.rereader = None;
        let deadline = tools.writer.as_ref().and_then(AnyWriter::deadline);
        let until = [until, deadline].into_iter().flatten().min();
        let due = tokio::time::sleep_until(until.unwrap_or_else(Instant::now).into());
        tokio::select! {
            () = due, if until.is_some() => {}
            () = self.link.changed.notified() => {}
        }
        self.roll(tools).await
    }

    fn failed(&self, error: &Error) {
        self.metrics.failed();
        let (mut lane, required) = (self.link.lane(), self.sink.required);
        match error.kind {
            Kind::Retry => {
                lane.failed(error.to_string(), Instant::now(), jitter());
                let head = if required { "waits for it" } else { "does not wait for it" };
                tracing::warn!(sink = %self.sink.name, %error, "sink is down; it is tried again, and the head {head}");
            }
            Kind::Stop => {
                lane.stop(error.to_string());
                let then =
                    if required { "it is required, so the pipeline ends" } else { "the head does not wait for it" };
                tracing::error!(sink = %self.sink.name, %error, "sink has stopped; {then}");
            }
        }
    }

    /// Tells what the writer has made durable since the last time.
    fn durable(&self, tools: &mut Tools) {
        let Tools { writer: Some(writer), writes, counted, .. } = tools else { return };
        let (positions, written) = (writer.durable(), writer.written());
        self.metrics.wrote(written.since(*counted));
        *counted = written;
        if self.link.lane().made_durable(positions) {
            self.seen.tell(&self.sink.name, positions);
            self.metrics.durable(positions);
            writes.iter_mut().for_each(|writes| writes.durable(positions));
        }
    }

    fn tell(&self, tools: &mut Tools) {
        let (state, behind, taken) = {
            let lane = self.link.lane();
            (lane.state(), lane.behind(), lane.taken())
        };
        let state = match state {
            State::Opening => SinkState::Opening,
            State::InStep => SinkState::InStep,
            State::CatchingUp => {
                let began = *tools.began.get_or_insert(Began { at: Instant::now(), behind, taken });
                catching_up(began, behind, taken)
            }
            State::Down { why, next_try } => SinkState::Down {
                why,
                next_try: now_seconds() + next_try.saturating_duration_since(Instant::now()).as_secs(),
            },
            State::Stopped { why } => SinkState::Stopped { why },
        };
        let catches_up = matches!(state, SinkState::CatchingUp { .. });
        if !catches_up {
            tools.began = None;
        }
        let is_in_step = matches!(state, SinkState::InStep);
        let is_news = self.metrics.state(self.worker, state);
        // why it is down or has stopped is said where that is known
        if is_news && is_in_step {
            tracing::info!(sink = %self.sink.name, "sink is in step");
        }
        if is_news && catches_up {
            tracing::info!(sink = %self.sink.name, behind, "sink catches up, by reading the log again");
        }
    }

    async fn finish(&self, tools: &mut Tools) -> Result<()> {
        if let Some(writer) = tools.writer.as_mut() {
            let finished = Box::pin(writer.finish()).await;
            self.durable(tools);
            finished.unwrap_or_else(|error| self.failed(&error));
        }
        self.link.stopped().map_or(Ok(()), |why| Err(Error::stop(why)))
    }
}

fn catching_up(began: Began, behind: i64, taken: i64) -> SinkState {
    let seconds = began.at.elapsed().as_secs_f64();
    let a_second = |messages: i64| (seconds > 0.0 && messages > 0).then(|| messages as f64 / seconds);
    SinkState::CatchingUp {
        behind,
        rows_per_second: a_second(taken - began.taken),
        done_in_seconds: a_second(began.behind - behind).map(|gained| behind as f64 / gained),
    }
}

/// From 0 to 1, another one each time.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
