//! How the pipelines are whose status API this module was told of: what the corner of the page shows.
//!
//! Invariants: they are asked at most once a second and one question at a time, however many browsers look; an answer
//! comes within a bounded time, whether or not a pipeline does. Knows fields of JSON, never the runtime's types.

mod ask;
mod place;
pub mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use tokio::sync::Mutex;

pub use self::ask::get;
pub use self::place::Place;
use self::report::{Report, State};

/// How old an answer may be that is given again.
const FRESH: Duration = Duration::from_secs(1);

pub struct Pipelines {
    seen: Mutex<Seen>,
}

struct Seen {
    pipelines: Vec<Pipeline>,
    last: Option<(Instant, Arc<str>)>,
}

struct Pipeline {
    place: Place,
    report: Report,
    /// Since when it has been asked in vain: nobody knows of the time before, when nobody asked.
    silent_since: Option<Instant>,
}

impl Pipelines {
    pub fn new(places: &[Place]) -> Pipelines {
        let pipeline = |place: &Place| Pipeline { place: place.clone(), report: Report::default(), silent_since: None };
        let pipelines = places.iter().map(pipeline).collect();
        Pipelines { seen: Mutex::new(Seen { pipelines, last: None }) }
    }

    /// As JSON. Who comes while they are asked waits for that answer.
    pub async fn look(&self) -> Arc<str> {
        let mut seen = self.seen.lock().await;
        if let Some((at, text)) = &seen.last
            && at.elapsed() < FRESH
        {
            return text.clone();
        }
        join_all(seen.pipelines.iter_mut().map(Pipeline::ask)).await;
        let reports: Vec<_> = seen.pipelines.iter().map(|pipeline| &pipeline.report).collect();
        let text: Arc<str> = json!({ "pipelines": reports }).to_string().into();
        seen.last = Some((Instant::now(), text.clone()));
        text
    }
}

impl Pipeline {
    async fn ask(&mut self) {
        let answer = ask::status(&self.place).await;
        let now = Instant::now();
        self.report = match answer.and_then(|status| Report::read(&status)) {
            Ok(report) => {
                self.silent_since = None;
                report.after(&self.report)
            }
            Err(why) => {
                let silent = now.duration_since(*self.silent_since.get_or_insert(now));
                Report { state: State::Away, why: Some(why), seconds: Some(silent.as_secs()), ..Report::default() }
            }
        };
        self.report.at = self.place.to_string();
    }
}
