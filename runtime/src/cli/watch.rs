//! `run --watch`: the files that a pipeline is made of, and the pipeline that comes of them once they have changed.
//!
//! Invariant: what runs is ended only for a pipeline that was checked and is another one; a file in the middle of being
//! written is looked at again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use millrace::config;
use millrace::engine::Stop;
use millrace::plan::Plan;

use super::{load, out};

const LOOK_EVERY: Duration = Duration::from_millis(250);

pub struct Watch {
    file: PathBuf,
    generation: String,
    seen: Vec<(PathBuf, Stamp)>,
}

/// Tells one state of a file from the next. None: it cannot be read now.
type Stamp = Option<(SystemTime, u64)>;

impl Watch {
    /// Taken before the files are read, so that no change falls between.
    pub fn load(file: &Path) -> Result<(Plan, Watch), String> {
        let of_file = stamped([file.to_owned()]);
        let plan = load(file)?;
        // what was replaced while it was loaded has another hash than the plan says, and the next look finds it
        let seen = of_file.into_iter().chain(stamped(plan.artifacts.clone())).collect();
        let generation = plan.generation.to_string();
        Ok((plan, Watch { file: file.to_owned(), generation, seen }))
    }

    /// Waits for another pipeline, and asks `running` to end once there is one. None: the end was asked, or came.
    pub fn wait(mut self, end: &Stop, running: &Stop) -> Option<(Plan, Watch)> {
        let _asks = running.ask_when_dropped();
        let text = fs::read(&self.file);
        loop {
            end.wait(LOOK_EVERY);
            if end.asked() || running.asked() {
                return None;
            }
            let files: Vec<_> = self.seen.iter().map(|(file, _)| file.clone()).collect();
            let now = stamped(files);
            if now == self.seen {
                continue;
            }
            self.seen = now;
            match config::check(&self.file, &|name| std::env::var(name).ok()) {
                Ok(plan) if *plan.generation == *self.generation && same(&text, &fs::read(&self.file)) => {}
                Ok(_) => match Watch::load(&self.file) {
                    Ok((plan, watch)) => {
                        tracing::info!(was = self.generation, generation = %plan.generation, "its files have changed");
                        return Some((plan, watch));
                    }
                    Err(said) => out::tell(said.trim_end()),
                },
                Err(said) => {
                    out::tell(said.to_string().trim_end());
                    tracing::warn!(
                        generation = self.generation,
                        "what is there now is not in order; it goes on as it was"
                    );
                }
            }
        }
    }
}

fn stamped(files: impl IntoIterator<Item = PathBuf>) -> Vec<(PathBuf, Stamp)> {
    let stamp = |file: &Path| fs::metadata(file).and_then(|data| Ok((data.modified()?, data.len()))).ok();
    files.into_iter().map(|file| (stamp(&file), file)).map(|(stamp, file)| (file, stamp)).collect()
}

fn same(one: &std::io::Result<Vec<u8>>, other: &std::io::Result<Vec<u8>>) -> bool {
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}
