//! On a folder.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use millrace_embedded::{Folder, Offset, Record, TOPIC_ROWS_MAX, Topic, now_ms};

use crate::Ground;
use crate::bed::Bed;
use crate::figures;
use crate::flights::flights;
use crate::load::{WARM_UP, id};
use crate::process::{PATIENCE, Process};

/// Of the pipeline's group, and of the bare loop in its place.
const CONSUMER: &str = "flight-delay";
const BACKLOG_ROWS: usize = 5_000;
/// A transaction waits for the disk: rows that come one by one would measure that alone.
const PACED_ROWS: usize = 10;
const PACE: Duration = Duration::from_millis(10);
const LOOK: Duration = Duration::from_millis(5);

impl Ground for Bed {
    const NAME: &str = "a folder";
    const TRANSACTIONS: &str = ", 10 a transaction";

    /// The topics are there: a partition each.
    fn fresh(test: &str) -> Bed {
        static FRESH: AtomicUsize = AtomicUsize::new(0);
        let bed = Bed::new(&format!("{test}-{}", FRESH.fetch_add(1, Ordering::Relaxed)));
        drop(Log::of(&bed, CONSUMER));
        bed
    }

    fn clear(&self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }

    fn toml(&mut self) -> &mut String {
        &mut self.toml
    }

    fn produce(&self, messages: &[Vec<u8>]) {
        let mut log = Log::of(self, CONSUMER);
        messages.chunks(BACKLOG_ROWS).for_each(|rows| log.append(rows));
    }

    fn start(&self) -> Process {
        Bed::start(self, &[])
    }

    fn bare(&self, rows_max: usize, wait: Duration) -> Arc<AtomicBool> {
        bare(self, rows_max, wait)
    }

    fn rate(&self, rows: usize) -> f64 {
        let log = Log::of(self, CONSUMER);
        figures::rate(rows, || log.committed() as u64)
    }

    fn pace(&self, time: Duration) -> Vec<f64> {
        pace(self, time)
    }
}

/// One connection to the folder, and the topics.
pub struct Log {
    folder: Folder,
    /// Whose position is looked at.
    group: &'static str,
    request: Topic,
    response: Topic,
}

impl Log {
    pub fn of(bed: &Bed, group: &'static str) -> Log {
        let mut folder = Folder::open(&bed.data).unwrap();
        let mut transaction = folder.begin().unwrap();
        let [request, response] = ["flight-delay-ml-request", "flight-delay-ml-response"]
            .map(|name| transaction.topic(name, 1, TOPIC_ROWS_MAX).unwrap());
        transaction.commit().unwrap();
        Log { folder, group, request, response }
    }

    pub fn append(&mut self, messages: &[Vec<u8>]) {
        let mut transaction = self.folder.begin().unwrap();
        transaction.append(&self.request, 0, messages.iter().map(|value| record(Some(value)))).unwrap();
        transaction.commit().unwrap();
    }

    pub fn committed(&self) -> i64 {
        self.folder.offset(self.group, &self.request, 0).unwrap().map_or(0, |offset| offset.next)
    }

    /// What came, to the response topic, with the position; false: nothing came.
    fn turn(&mut self, stands: &mut Option<i64>, rows_max: usize) -> bool {
        let messages = self.folder.read(&self.request, 0, stands.unwrap_or(0), rows_max, usize::MAX).unwrap();
        let Some(last) = messages.last() else { return false };
        let to = Offset { next: last.offset + 1, metadata: String::new() };
        let mut transaction = self.folder.begin().unwrap();
        transaction.append(&self.response, 0, messages.iter().map(|message| record(message.value.as_deref()))).unwrap();
        transaction.move_offset(self.group, &self.request, 0, *stands, &to).unwrap();
        transaction.commit().unwrap();
        *stands = Some(to.next);
        true
    }
}

fn record(value: Option<&[u8]>) -> Record<'_> {
    Record { timestamp_ms: now_ms(), value, ..Record::default() }
}

/// The limit: what the folder does alone, until it is told to end.
fn bare(bed: &Bed, rows_max: usize, wait: Duration) -> Arc<AtomicBool> {
    let (mut log, stop) = (Log::of(bed, CONSUMER), Arc::<AtomicBool>::default());
    let mut wake = log.folder.wake().unwrap();
    let stopping = stop.clone();
    thread::spawn(move || {
        let mut stands = None;
        while !stopping.load(Ordering::Relaxed) {
            if !log.turn(&mut stands, rows_max) {
                wake.wait(wait);
            }
        }
    });
    stop
}

/// Milliseconds from produce to response for each of the rows, at 1,000 a second.
fn pace(bed: &Bed, time: Duration) -> Vec<f64> {
    let (messages, _) = flights(time.as_secs() as usize * 1000, "paced");
    let (count, eyes) = (messages.len(), Log::of(bed, CONSUMER));
    let reader = thread::spawn(move || arrivals(&eyes, count));
    let (mut log, start, mut sent) = (Log::of(bed, CONSUMER), Instant::now(), HashMap::new());
    let warm = start + WARM_UP;
    for (rows, due) in messages.chunks(PACED_ROWS).zip((0..).map(|turn| start + PACE * turn)) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        sent.extend(rows.iter().map(|row| (id(row), now)));
        log.append(rows);
    }
    let arrived = reader.join().unwrap();
    let counted = arrived.iter().filter(|(id, _)| sent[id] >= warm);
    counted.map(|(id, at)| at.duration_since(sent[id]).as_secs_f64() * 1000.0).collect()
}

fn arrivals(log: &Log, count: usize) -> Vec<(String, Instant)> {
    let (mut arrived, deadline) = (Vec::with_capacity(count), Instant::now() + PATIENCE);
    let mut wake = log.folder.wake().unwrap();
    while arrived.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} arrived", arrived.len());
        let messages = log.folder.read(&log.response, 0, arrived.len() as i64, 1_000, usize::MAX).unwrap();
        let now = Instant::now();
        if messages.is_empty() {
            wake.wait(LOOK);
        }
        arrived.extend(messages.iter().map(|message| (id(message.value.as_deref().unwrap()), now)));
    }
    arrived
}
