//! The folder that outlives a process: the files of every generation by hash, and the slots of workers.
//!
//! Layout: `<state>/<pipeline>/generations/<hash>/…` (pipeline file and artifacts, each where it is below the system's
//! root, by the name that it is asked for: what a symbolic link is made of may change), `<state>/<pipeline>/began`,
//! `<state>/<pipeline>/slots/<n>.lock`, `<state>/<pipeline>/id`.
//! Invariant: a generation's folder is complete or not there; it never changes.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;

use millrace_embedded::advice;

use crate::config;
use crate::error::{Error, Result};
use crate::path::tidy;
use crate::plan::Plan;
use crate::sink::Log;

/// A line for each group and topic that it had offsets of.
const BEGAN: &str = "began";
/// More workers of one pipeline on one host than anybody starts.
const SLOTS_MAX: usize = 1024;
/// Names the pipeline file inside a generation's folder, and then, a line each, the sinks that were switched off: that may
/// come from an environment that is another one now.
const ENTRY: &str = "PIPELINE";

pub struct Store {
    root: PathBuf,
    pipeline: String,
}

/// A worker's place on this host; held as long as the process lives, whatever ends it.
pub struct Slot {
    pub transactional_id: String,
    _lock: File,
}

fn failed(what: &str, path: &Path, cause: io::Error) -> Error {
    Error::stop(format!("{what} {}: {cause}{}", path.display(), advice(&cause)))
}

impl Store {
    pub fn open(state: &Path, pipeline: &str) -> Result<Store> {
        let root = state.join(pipeline);
        for folder in ["generations", "slots"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(|cause| failed("making the state folder", &folder, cause))?;
        }
        Ok(Store { root, pipeline: pipeline.to_owned() })
    }

    /// The first free place. A successor of a killed worker gets its transactional id, and so its open transaction.
    pub fn slot(&self) -> Result<Slot> {
        let id = self.id()?;
        for n in 0..SLOTS_MAX {
            if let Some(slot) = self.try_slot(&id, n)? {
                return Ok(slot);
            }
        }
        Err(Error::stop(format!("all {SLOTS_MAX} worker slots in {} are taken", self.root.join("slots").display())))
    }

    /// Every place that a worker of this host ever had; an error if one of them lives.
    pub fn every_slot(&self) -> Result<Vec<Slot>> {
        let id = self.id()?;
        let there = (0..SLOTS_MAX).take_while(|n| self.lock(*n).exists());
        let slots = there.map(|n| {
            self.try_slot(&id, n)?.ok_or_else(|| {
                let path = self.lock(n);
                Error::stop(format!("a worker of this pipeline runs on this host: it holds {}", path.display()))
            })
        });
        slots.collect()
    }

    fn lock(&self, n: usize) -> PathBuf {
        self.root.join("slots").join(format!("{n}.lock"))
    }

    /// None: a worker has it.
    fn try_slot(&self, id: &str, n: usize) -> Result<Option<Slot>> {
        let path = self.lock(n);
        let lock = File::create(&path).map_err(|cause| failed("opening", &path, cause))?;
        match lock.try_lock() {
            Ok(()) => {
                let transactional_id = format!("millrace-{}-{id}-{n}", self.pipeline);
                Ok(Some(Slot { transactional_id, _lock: lock }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(cause)) => Err(failed("locking", &path, cause)),
        }
    }

    /// Tells this state folder from every other: two of them on one host must not take each other's transactions.
    fn id(&self) -> Result<String> {
        let path = self.root.join("id");
        let fresh = uuid::Uuid::new_v4().simple().to_string();
        let draft = self.root.join(format!("id-{fresh}"));
        fs::write(&draft, &fresh).map_err(|cause| failed("writing", &draft, cause))?;
        // whoever is first makes it; the others find it whole
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft).map_err(|cause| failed("removing", &draft, cause))?;
        match linked {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(failed("making", &path, cause)),
            _ => {}
        }
        let id = fs::read_to_string(&path).map_err(|cause| failed("reading", &path, cause))?;
        Ok(id.trim().to_owned())
    }

    /// The id of the topic of this name that the group had offsets of, as far as this folder knows.
    pub fn began(&self, group: &str, log: &Log) -> Result<Option<String>> {
        let path = self.root.join(BEGAN);
        let text = match fs::read_to_string(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|cause| failed("reading", &path, cause))?,
        };
        let line = began(group, log);
        Ok(text.lines().find_map(|known| Some(known.strip_prefix(&line)?.to_owned())))
    }

    /// The group has offsets of this topic.
    pub fn begins(&self, group: &str, log: &Log) -> Result<()> {
        let (path, line) = (self.root.join(BEGAN), began(group, log));
        let others = fs::read_to_string(&path).unwrap_or_default();
        let others = others.lines().filter(|known| !known.starts_with(&line)).map(|known| format!("{known}\n"));
        let text = others.collect::<String>() + &line + &log.topic_id + "\n";
        let draft = self.root.join(format!("{BEGAN}-{}", uuid::Uuid::new_v4().simple()));
        fs::write(&draft, text).map_err(|cause| failed("writing", &draft, cause))?;
        fs::rename(&draft, &path).map_err(|cause| failed("writing", &path, cause))
    }

    fn folder(&self, generation: &str) -> PathBuf {
        self.root.join("generations").join(generation)
    }

    /// Copies what the generation is made of, unless it is there.
    pub fn keep(&self, plan: &Plan) -> Result<()> {
        let folder = self.folder(&plan.generation);
        if folder.exists() {
            return Ok(());
        }
        // workers in containers of their own have one process id, and this folder together
        let draft = self.root.join(format!("draft-{}-{}", plan.generation, uuid::Uuid::new_v4().simple()));
        copy_all(plan, &draft).map_err(|(path, cause)| failed("keeping this generation's files:", &path, cause))?;
        match fs::rename(&draft, &folder) {
            Ok(()) => Ok(()),
            // another worker was quicker
            Err(_) if folder.exists() => fs::remove_dir_all(&draft).map_err(|cause| failed("removing", &draft, cause)),
            Err(cause) => Err(failed("keeping this generation's files in", &folder, cause)),
        }
    }

    /// The sinks of a generation that was kept which have a position of their own. None: its files are missing.
    pub fn sinks(&self, generation: &str) -> Option<Vec<String>> {
        let (file, off) = entry(&self.folder(generation)).ok()?;
        config::kept_sinks(&file, &environment, &off).ok()
    }

    /// The plan of a generation that was kept.
    pub fn load(&self, generation: &Arc<str>) -> Result<Plan> {
        let folder = self.folder(generation);
        let missing = |why: String| {
            Error::stop(format!(
                "rows of generation {generation} wait for a sink, and its files cannot be used: {why}. They are \
                 computed by their own generation or not at all: start this worker with the state folder of the \
                 worker that ran it (--state), or put {} back",
                folder.display()
            ))
        };
        let (file, off) = entry(&folder).map_err(|cause| missing(cause.to_string()))?;
        let plan = config::check_kept(&folder, &file, &environment, &off)
            .map_err(|diagnostics| missing(diagnostics.to_string()))?;
        match plan.generation == *generation {
            true => Ok(plan),
            // what this program makes of rows is a part of it
            false => Err(missing(format!(
                "they give generation {} now; another version of millrace ran it, if nobody changed them: let that one \
                 run until its sinks are in step",
                plan.generation
            ))),
        }
    }
}

/// How its line begins.
fn began(group: &str, log: &Log) -> String {
    format!("{} ", serde_json::json!([log.cluster, group, log.topic]))
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The pipeline file of a generation, and which of its sinks were off.
fn entry(folder: &Path) -> io::Result<(PathBuf, Vec<String>)> {
    let text = fs::read_to_string(folder.join(ENTRY))?;
    let mut lines = text.lines().map(str::to_owned);
    Ok((folder.join(lines.next().unwrap_or_default()), lines.collect()))
}

fn copy_all(plan: &Plan, draft: &Path) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path, cause| (path.to_owned(), cause);
    for file in plan.artifacts.iter().chain([&plan.file]) {
        let target = draft.join(inside(file).map_err(|cause| at(file, cause))?);
        let parent = target.parent().unwrap_or(draft);
        fs::create_dir_all(parent).map_err(|cause| at(parent, cause))?;
        fs::copy(file, &target).map_err(|cause| {
            let what = format!("{}, a copy of {}", target.display(), file.display());
            (PathBuf::from(what), cause)
        })?;
    }
    let entry = draft.join(ENTRY);
    let off = plan.off.iter().map(|sink| format!("\n{sink}"));
    let pipeline = inside(&plan.file).map_err(|cause| at(&plan.file, cause))?;
    let text = off.fold(pipeline.to_string_lossy().into_owned(), |text, line| text + &line);
    fs::write(&entry, text).map_err(|cause| at(&entry, cause))
}

/// Its place below the system's root.
fn inside(file: &Path) -> io::Result<PathBuf> {
    let whole = path::absolute(file)?;
    Ok(tidy(whole.strip_prefix("/").unwrap_or(&whole)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::thread;

    use super::*;

    #[test]
    fn workers_that_begin_together_keep_a_generation_once_and_whole() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/flight-delay.toml");
        let plan = config::check(&file, &|_| None).unwrap();
        let state = std::env::temp_dir().join(format!("millrace-store-{}", uuid::Uuid::new_v4()));
        thread::scope(|scope| {
            let worker = || Store::open(&state, &plan.name).unwrap().keep(&plan).unwrap();
            (0..8).for_each(|_| drop(scope.spawn(worker)));
        });
        let store = Store::open(&state, &plan.name).unwrap();
        assert_eq!(store.load(&plan.generation).unwrap().generation, plan.generation);
        let drafts = fs::read_dir(state.join(&plan.name)).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!drafts.into_iter().any(|name| name.to_string_lossy().starts_with("draft")));
        fs::remove_dir_all(state).unwrap();
    }

    /// The shipped pipeline and what it names, as Kubernetes mounts it: names that are links into a folder of a version.
    /// Its table is named by where it is from the system's root on.
    fn mounted(at: &Path) -> PathBuf {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let table = "examples/flight-delay/origin_dest_distances.jsonl";
        for file in [table, "plugins/flight-features/flight-features.wasm"] {
            fs::create_dir_all(at.join(file).parent().unwrap()).unwrap();
            fs::copy(repository.join(file), at.join(file)).unwrap();
        }
        let model = "examples/flight-delay/model";
        fs::create_dir(at.join(model)).unwrap();
        for file in fs::read_dir(repository.join(model)).unwrap().map(|file| file.unwrap().path()) {
            fs::copy(&file, at.join(model).join(file.file_name().unwrap())).unwrap();
        }
        let text = fs::read_to_string(repository.join("pipelines/flight-delay.toml")).unwrap();
        let text = text.replace(&format!("\"../{table}\""), &format!("\"{}\"", at.join(table).display()));
        let pipelines = at.join("pipelines");
        fs::create_dir_all(pipelines.join("..2026_11_27")).unwrap();
        fs::write(pipelines.join("..2026_11_27/flight-delay.toml"), text).unwrap();
        symlink("..2026_11_27", pipelines.join("..data")).unwrap();
        symlink("..data/flight-delay.toml", pipelines.join("flight-delay.toml")).unwrap();
        pipelines.join("flight-delay.toml")
    }

    #[test]
    fn a_generation_is_whole_without_the_files_that_it_was_made_of() {
        let folder = std::env::temp_dir().join(format!("millrace-kept-{}", uuid::Uuid::new_v4()));
        let plan = config::check(&mounted(&folder), &|_| None).unwrap();
        let store = Store::open(&folder.join("state"), &plan.name).unwrap();
        store.keep(&plan).unwrap();
        for of in ["pipelines", "plugins", "examples"] {
            fs::remove_dir_all(folder.join(of)).unwrap();
        }
        assert_eq!(store.load(&plan.generation).unwrap().generation, plan.generation);
        assert_eq!(store.sinks(&plan.generation).unwrap(), ["store", "archive"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
