//! `run --watch`: the files that a pipeline is made of, and the pipeline that comes of them once they have changed.
//!
//! Invariant: what runs is ended only for a pipeline that was checked and is another one. A file's state is taken before
//! the file is read, or it is read once more, so that no change falls between.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use millrace::config;
use millrace::engine::Stop;
use millrace::plan::Plan;

use super::{load, out, warn};

const LOOK_EVERY: Duration = Duration::from_millis(250);

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
        loop {
            end.wait(LOOK_EVERY);
            if end.asked() || running.asked() {
                return None;
            }
            let now: Stamps = self.seen.keys().map(|file| (file.clone(), stamp(file))).collect();
            if now == self.seen {
                continue;
            }
            let text = fs::read(&self.file).ok();
            match config::check(&self.file, &|name| std::env::var(name).ok()) {
                Ok(plan) if *plan.generation == *self.generation && text == self.text => {}
                Ok(plan) => {
                    warn(&plan);
                    tracing::info!(was = self.generation, generation = %plan.generation, "its files have changed");
                    let watch = Watch::of(&self.file, text, &plan, &now);
                    return Some((plan, watch));
                }
                Err(said) => {
                    out::tell(said.to_string().trim_end());
                    tracing::warn!(
                        generation = self.generation,
                        "what is there now is not in order; it goes on as it was"
                    );
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
