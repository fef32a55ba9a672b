//! Each process of a pipeline says in a topic how it is: its heartbeats. docs/status.md has their shape.
//!
//! Invariant: the pipeline never waits for it and never fails by it. A heartbeat that the topic does not take in time is
//! lost, counted, and said once; at most one is on its way. Knows nothing of who reads them.

mod heartbeat;
mod voice;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use self::heartbeat::{Heartbeat, Pace};
use self::voice::Voice;
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::observe::{Heartbeats, Metrics, Status};
use crate::plan::{Plan, StatusPlan};

const EVERY: Duration = Duration::from_secs(2);
/// How long the end of the process waits for the last word.
const LAST_WORD_MAX: Duration = Duration::from_secs(2);
/// What brokers take by default is a little more.
const TEXT_BYTES_MAX: usize = 900_000;

pub struct Announcer {
    /// Whether the end is an orderly one.
    end: Sender<bool>,
    ended: Receiver<()>,
}

impl Announcer {
    /// None: the pipeline has no `[status]`, or no thread could be had. `key` tells this process from every other, and
    /// is that of the one whose place it takes.
    pub fn start(plan: &Plan, ground: &Ground, key: &str, metrics: &Metrics) -> Option<Announcer> {
        let status = plan.status.clone()?;
        let (end, ending) = mpsc::channel();
        let (done, ended) = mpsc::channel();
        let mut announcing = Announcing {
            voice: Voice::new(&plan.source, status.clone(), ground),
            plan: status,
            key: key.to_owned(),
            status: metrics.status.clone(),
            counts: metrics.heartbeats.clone(),
            pace: Pace::default(),
            is_unheard: false,
        };
        let run = move || {
            announcing.until(&ending);
            drop(done);
        };
        let started = thread::Builder::new().name("millrace-status".into()).spawn(run);
        if let Err(error) = &started {
            tracing::warn!(%error, "no thread to announce this process with: it is not seen in the status topic");
        }
        started.ok().map(|_| Announcer { end, ended })
    }

    /// The last word, if it can be said soon.
    pub fn end(self, orderly: bool) {
        if self.end.send(orderly).is_ok() {
            let _ = self.ended.recv_timeout(LAST_WORD_MAX);
        }
    }
}

struct Announcing {
    voice: Voice,
    plan: StatusPlan,
    key: String,
    status: Arc<Status>,
    counts: Heartbeats,
    pace: Pace,
    /// That heartbeats are lost was said.
    is_unheard: bool,
}

impl Announcing {
    fn until(&mut self, ending: &Receiver<bool>) {
        loop {
            self.beat();
            match ending.recv_timeout(EVERY) {
                Err(RecvTimeoutError::Timeout) => {}
                // who goes in order is gone at once; who could not go on is seen with its last state, for a while
                Ok(true) => {
                    let gone = self.voice.say(&self.key, None);
                    return self.count(gone);
                }
                Ok(false) | Err(RecvTimeoutError::Disconnected) => return self.beat(),
            }
        }
    }

    fn beat(&mut self) {
        let report = self.status.report();
        let rates = self.pace.rates(&report, Instant::now());
        let text = serde_json::to_string(&Heartbeat::new(&report, &rates, EVERY));
        let text = text.map_err(|cause| Error::stop("the heartbeat as JSON").caused_by(cause)).and_then(fits);
        let said = text.and_then(|text| self.voice.say(&self.key, Some(&text)));
        self.count(said);
    }

    fn count(&mut self, said: Result<()>) {
        let topic = &self.plan.topic;
        match said {
            Ok(()) => {
                self.counts.sent.inc();
                if std::mem::take(&mut self.is_unheard) {
                    tracing::info!(topic, "this process is seen in the status topic again");
                }
            }
            Err(error) => {
                self.counts.lost.inc();
                if !std::mem::replace(&mut self.is_unheard, true) {
                    tracing::warn!(topic, %error, "this process is not seen in the status topic; the pipeline goes on");
                }
            }
        }
    }
}

fn fits(text: String) -> Result<String> {
    if text.len() <= TEXT_BYTES_MAX {
        return Ok(text);
    }
    Err(Error::stop(format!(
        "a heartbeat of {} bytes is more than the {TEXT_BYTES_MAX} that a topic takes",
        text.len()
    )))
}
