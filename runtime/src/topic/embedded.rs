//! A topic of an embedded folder, whoever holds that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use millrace_embedded::{self as embedded, Folder, Topic, Wake};

use super::{Dropped, Event, Manner};
use crate::embedded::error;
use crate::error::{Error, Result};
use crate::sink::Log;
use crate::source::{Committed, Extent, Record, embedded as source};

/// Read ahead of a partition at once.
const AHEAD_ROWS_MAX: usize = 1_000;
const AHEAD_BYTES_MAX: usize = 4 << 20;

pub struct Reader {
    folder: Folder,
    topic: Topic,
    wake: Wake,
    ahead: VecDeque<embedded::Message>,
    next: BTreeMap<i32, i64>,
    /// Partitions whose end was said.
    ended: BTreeSet<i32>,
    dropped: Dropped,
}

impl Reader {
    pub fn find(path: &Path, topic: &str, manner: Manner<'_>) -> Result<Option<Reader>> {
        if !Folder::is_one(path) {
            return Err(Error::stop(format!(
                "{} is no embedded folder: `millrace run FILE --embedded {}` makes it, and so does `millrace produce`",
                path.display(),
                path.display()
            )));
        }
        let folder = Folder::look(path).map_err(error)?;
        let wake = folder.wake().map_err(error)?;
        let Some(topic) = folder.topic(topic).map_err(error)? else { return Ok(None) };
        let (ahead, next, ended) = (VecDeque::new(), BTreeMap::new(), BTreeSet::new());
        Ok(Some(Reader { folder, topic, wake, ahead, next, ended, dropped: manner.dropped }))
    }

    pub fn partitions(&self) -> i32 {
        self.topic.partitions
    }

    pub fn identify(&self) -> Log {
        Log { cluster: "embedded".into(), topic: self.topic.name.clone(), topic_id: self.topic.uuid.clone() }
    }

    pub fn extent(&self, partition: i32) -> Result<Extent> {
        let embedded::Extent { first, end } = self.folder.extent(&self.topic, partition).map_err(error)?;
        Ok(Extent { first, end })
    }

    pub fn committed(&mut self, group: &str, partition: i32) -> Result<Committed> {
        let transaction = self.folder.begin().map_err(error)?;
        let offset = transaction.offset(group, &self.topic, partition).map_err(error)?;
        let (offset, metadata) = offset.map_or((None, String::new()), |it| (Some(it.next), it.metadata));
        Ok(Committed { offset, metadata })
    }

    pub fn start(&mut self, starts: &BTreeMap<i32, i64>) {
        self.ahead.clear();
        self.ended.clear();
        self.next.clone_from(starts);
    }

    pub fn leave(&mut self, partition: i32) {
        self.next.remove(&partition);
        self.ahead.retain(|message| message.partition != partition);
    }

    pub fn poll(&mut self, timeout: Duration) -> Result<Event<'_>> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(message) = self.ahead.pop_front() {
                return Ok(Event::Message(Record::Embedded(source::Record::new(message))));
            }
            if let Some(ended) = self.fetch()? {
                return Ok(Event::End(ended));
            }
            if !self.ahead.is_empty() {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Event::Nothing);
            }
            self.wake.wait(left);
        }
    }

    /// Reads what is new of every partition; answers one that has nothing new, if that was not said.
    fn fetch(&mut self) -> Result<Option<i32>> {
        for (&partition, next) in &mut self.next {
            let read = self.folder.read(&self.topic, partition, *next, AHEAD_ROWS_MAX, AHEAD_BYTES_MAX);
            let read = read.map_err(error)?;
            if let Some(first) = read.first().filter(|first| first.offset != *next && self.dropped == Dropped::AnError)
            {
                return Err(Error::retry(format!(
                    "partition {partition}: rows {next} to {} were dropped while they were read",
                    first.offset - 1
                )));
            }
            match read.last() {
                Some(last) => {
                    *next = last.offset + 1;
                    self.ended.remove(&partition);
                    self.ahead.extend(read);
                }
                // what was read of the partitions before it comes first
                None if self.ahead.is_empty() && self.ended.insert(partition) => return Ok(Some(partition)),
                None => {}
            }
        }
        Ok(None)
    }
}
