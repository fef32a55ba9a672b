//! A topic of an embedded folder, read by the workers of one process.
//!
//! Invariant: a partition belongs to one worker of the process for as long as that runs. Knows nothing of batches,
//! stages or sinks.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use millrace_embedded as embedded;
use millrace_embedded::{Folder, TOPIC_ROWS_MAX, Topic, Wake};

use super::{Committed, Extent};
use crate::embedded::{Share, error};
use crate::error::{Error, Result};
use crate::json::decode::Message;
use crate::plan::SourcePlan;
use crate::sink::Log;

/// Read ahead of a partition at once.
const AHEAD_ROWS_MAX: usize = 2_000;
const AHEAD_BYTES_MAX: usize = 4 << 20;
/// How late a signal may be seen by a worker that has nothing to do.
const IDLE_WAIT: Duration = Duration::from_millis(50);

pub struct Source {
    folder: RefCell<Folder>,
    topic_name: String,
    group: String,
    share: Share,
    topic: Option<Topic>,
    held: BTreeSet<i32>,
    ahead: RefCell<Ahead>,
}

/// What was read and not handed out, and where each partition goes on.
struct Ahead {
    messages: VecDeque<embedded::Message>,
    next: BTreeMap<i32, i64>,
    wake: Wake,
}

pub struct Record(embedded::Message);

impl Record {
    pub(crate) fn new(message: embedded::Message) -> Record {
        Record(message)
    }
}

impl Source {
    pub fn new(plan: &SourcePlan, folder: &Path, share: Share) -> Result<Source> {
        let folder = Folder::open(folder).map_err(error)?;
        let wake = folder.wake().map_err(error)?;
        Ok(Source {
            folder: RefCell::new(folder),
            topic_name: plan.topic.clone(),
            group: plan.group.clone(),
            share,
            topic: None,
            held: BTreeSet::new(),
            ahead: RefCell::new(Ahead { messages: VecDeque::new(), next: BTreeMap::new(), wake }),
        })
    }

    /// Topics are made where they are not there, with a partition for each worker.
    pub fn identify(&mut self, topics: &BTreeSet<&str>) -> Result<Log> {
        let mut folder = self.folder.borrow_mut();
        let mut transaction = folder.begin().map_err(error)?;
        let partitions = self.share.of;
        for topic in topics {
            transaction.topic(topic, partitions, TOPIC_ROWS_MAX).map_err(error)?;
        }
        let topic = transaction.topic(&self.topic_name, partitions, TOPIC_ROWS_MAX).map_err(error)?;
        transaction.commit().map_err(error)?;
        self.held = (0..topic.partitions).filter(|partition| partition % self.share.of == self.share.worker).collect();
        if self.held.is_empty() {
            tracing::warn!(
                topic = topic.name,
                partitions = topic.partitions,
                "this worker has no partition to read: as many workers share the work as the topic has partitions. Who \
                 starts first in a new folder makes it with a partition for each worker"
            );
        }
        let log = Log::embedded(&topic);
        self.topic = Some(topic);
        Ok(log)
    }

    pub fn wait_for_partitions(&mut self, stopping: impl Fn() -> bool) -> bool {
        while self.held.is_empty() && !stopping() {
            self.ahead.borrow_mut().wake.wait(IDLE_WAIT);
        }
        !stopping()
    }

    pub fn committed(&mut self) -> Result<BTreeMap<i32, Committed>> {
        let topic = self.topic()?.clone();
        let mut folder = self.folder.borrow_mut();
        let transaction = folder.begin().map_err(error)?;
        let committed = |partition: &i32| {
            let offset = transaction.offset(&self.group, &topic, *partition).map_err(error)?;
            let (offset, metadata) = offset.map_or((None, String::new()), |o| (Some(o.next), o.metadata));
            Ok((*partition, Committed { offset, metadata }))
        };
        self.held.iter().map(committed).collect()
    }

    pub fn group_is_known(&mut self) -> Result<bool> {
        let topic = self.topic()?.clone();
        let mut folder = self.folder.borrow_mut();
        let transaction = folder.begin().map_err(error)?;
        for partition in 0..topic.partitions {
            if transaction.offset(&self.group, &topic, partition).map_err(error)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn extent(&self, partition: i32) -> Result<Extent> {
        let embedded::Extent { first, end } = self.folder.borrow().extent(self.topic()?, partition).map_err(error)?;
        Ok(Extent { first, end })
    }

    pub fn start(&mut self, starts: &BTreeMap<i32, i64>) {
        let ahead = self.ahead.get_mut();
        ahead.messages.clear();
        ahead.next.clone_from(starts);
    }

    pub fn poll(&self, timeout: Duration) -> Result<Option<Record>> {
        let mut ahead = self.ahead.borrow_mut();
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(message) = ahead.messages.pop_front() {
                return Ok(Some(Record(message)));
            }
            if self.fetch(&mut ahead)? {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            ahead.wake.wait(left);
        }
    }

    /// False: there is nothing new.
    fn fetch(&self, ahead: &mut Ahead) -> Result<bool> {
        let (folder, topic) = (self.folder.borrow(), self.topic()?);
        for (partition, next) in &mut ahead.next {
            let read = folder.read(topic, *partition, *next, AHEAD_ROWS_MAX, AHEAD_BYTES_MAX).map_err(error)?;
            if let Some(first) = read.first().filter(|first| first.offset != *next) {
                return Err(Error::stop(format!(
                    "topic `{}` partition {partition}: rows {next} to {} were dropped by its retention before they were \
                     read",
                    topic.name,
                    first.offset - 1
                )));
            }
            *next += read.len() as i64;
            ahead.messages.extend(read);
        }
        Ok(!ahead.messages.is_empty())
    }

    pub fn ends(&self) -> BTreeMap<i32, i64> {
        let end = |partition: &i32| Some((*partition, self.extent(*partition).ok()?.end));
        self.held.iter().filter_map(end).collect()
    }

    fn topic(&self) -> Result<&Topic> {
        self.topic.as_ref().ok_or_else(|| Error::stop("the source was not identified"))
    }
}

impl Message for Record {
    fn partition(&self) -> i32 {
        self.0.partition
    }

    fn offset(&self) -> i64 {
        self.0.offset
    }

    fn timestamp_ms(&self) -> Option<i64> {
        Some(self.0.timestamp_ms)
    }

    fn key(&self) -> Option<&[u8]> {
        self.0.key.as_deref()
    }

    fn value(&self) -> Option<&[u8]> {
        self.0.value.as_deref()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.0.headers.iter().rfind(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }
}
