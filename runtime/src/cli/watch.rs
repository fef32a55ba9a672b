//! `run --watch`: the files that a pipeline is made of, and the pipeline that comes of them once they have changed.
//!
//! Invariant: what runs is ended only for a pipeline that was checked and is another one. A file's state is taken before
//! the file is read, or it is read once more, so that no change falls between.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use millrace::config;
use millrace::engine::Stop;
use millrace::plan::Plan;

use super::{load, out, warn};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// At a pipeline that is not in order: it may lack a file that nobody looks at yet.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

pub struct Watch {
    file: PathBuf,
    text: Option<Vec<u8>>,
    generation: String,
    seen: Stamps,
}

type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

/// Tells one state of a file from the next.
type Stamp = (SystemTime, u64);

impl Watch {
    pub fn load(file: &Path) -> Result<(Plan, Watch), String> {
        let (before, text) = (Stamps::from([(file.to_owned(), stamp(file))]), fs::read(file).ok());
        let plan = load(file)?;
        let watch = Watch::of(file, text, &plan, &before);
        Ok((plan, watch))
    }

    /// `before`: of files as they were before they were read. One that is not among them may have been replaced while it
    /// was loaded: its state is not known, and it is looked at again.
    fn of(file: &Path, text: Option<Vec<u8>>, plan: &Plan, before: &Stamps) -> Watch {
        let files = plan.artifacts.iter().map(PathBuf::as_path).chain([file]);
        let seen = files.map(|file| (file.to_owned(), before.get(file).copied().flatten())).collect();
        Watch { file: file.to_owned(), text, generation: plan.generation.to_string(), seen }
    }

    /// Waits for another pipeline, and asks `running` to end once there is one. None: the end was asked, or came.
    pub fn wait(mut self, end: &Stop, running: &Stop) -> Option<(Plan, Watch)> {
        let _asks = running.ask_when_dropped();
        let mut wrong: Option<(Instant, String)> = None;
        loop {
            end.wait(LOOK_EVERY);
            if end.asked() || running.asked() {
                return None;
            }
            let now: Stamps = self.seen.keys().map(|file| (file.clone(), stamp(file))).collect();
            let is_due = wrong.as_ref().is_some_and(|(since, _)| since.elapsed() >= LOOK_AGAIN_AFTER);
            if now == self.seen && !is_due {
                continue;
            }
            let text = fs::read(&self.file).ok();
            match config::check(&self.file, &|name| std::env::var(name).ok()) {
                Ok(plan) if *plan.generation == *self.generation && text == self.text => wrong = None,
                Ok(plan) => {
                    warn(&plan);
                    tracing::info!(was = self.generation, generation = %plan.generation, "its files have changed");
                    let watch = Watch::of(&self.file, text, &plan, &now);
                    return Some((plan, watch));
                }
                Err(said) => {
                    let said = said.to_string();
                    if wrong.as_ref().is_none_or(|(_, before)| *before != said) {
                        out::tell(said.trim_end());
                        tracing::warn!(
                            generation = self.generation,
                            "what is there now is not in order; it goes on as it was"
                        );
                    }
                    wrong = Some((Instant::now(), said));
                }
            }
            self.seen = now;
        }
    }
}

/// None: it cannot be read now.
fn stamp(file: &Path) -> Option<Stamp> {
    fs::metadata(file).and_then(|data| Ok((data.modified()?, data.len()))).ok()
}
