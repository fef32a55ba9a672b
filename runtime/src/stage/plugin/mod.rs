//! A WASM component on columns: the contract is `plugins/wit`.
//!
//! A guest gets the columns that it reads and returns those that it adds; the host carries all others to the output
//! rows by lineage. A [`Program`] is a component that was loaded, asked for its signature and found in order; a
//! [`Worker`] runs it.
//!
//! Invariant: a row's outcome depends on the row, the config and the component alone: not on the batch that it came
//! in, nor on what the instance did before. A guest that traps, runs out of fuel or lies costs its own row, no other.
//! Knows nothing of what a plugin computes.

mod answers;
mod bindings;
pub mod build;
mod cache;
pub mod config;
mod figures;
mod functions;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod host;
mod instance;
mod layout;
mod lift;
mod load;
mod lower;
mod size;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::bindings::PluginPre;
use self::figures::Meter;
pub use self::figures::{Figures, Health, State as HealthState};
use self::host::{Console, Host};
pub use self::instance::OPEN_FUEL;
use self::instance::{Instance, State};
use self::load::Signature;
pub use self::load::{CONTRACT, CannotLoad, Manifest};
pub use self::worker::Worker;
use crate::config::StageTypes;
use crate::error::{Error, Result};

#[derive(Clone, Debug)]
pub struct Settings {
    pub stage: Arc<str>,
    pub memory_mib_max: u32,
    /// What a row may cost, in WebAssembly instructions, roughly.
    pub fuel_per_row_max: u64,
    /// JSON, as the guest gets it.
    pub config: String,
}

impl Settings {
    fn memory_bytes_max(&self) -> usize {
        (self.memory_mib_max as usize) << 20
    }
}

/// A component that gave a signature for its config.
pub struct Program {
    loaded: Arc<Loaded>,
}

struct Loaded {
    file: PathBuf,
    /// Of the bytes that were loaded, whatever the file holds by now.
    sha256: String,
    manifest: Manifest,
    /// What `open` took.
    open_fuel: u64,
    settings: Settings,
    component: PluginPre<State>,
    signature: Signature,
    console: Arc<Console>,
    meter: Arc<Meter>,
}

impl Program {
    pub fn load(file: &Path, settings: Settings) -> Result<Program, CannotLoad> {
        load::load(file, settings).map(|loaded| Program { loaded: Arc::new(loaded) })
    }

    /// What it does to the columns.
    pub fn types(&self) -> StageTypes {
        let Signature { reads, adds, drops, .. } = &self.loaded.signature;
        StageTypes { reads: reads.clone(), adds: adds.clone(), drops: drops.clone() }
    }

    pub fn file(&self) -> &Path {
        &self.loaded.file
    }

    pub fn sha256(&self) -> &str {
        &self.loaded.sha256
    }

    pub fn manifest(&self) -> &Manifest {
        &self.loaded.manifest
    }

    /// As the plugin calls itself.
    pub fn version(&self) -> &str {
        &self.loaded.manifest.version
    }

    /// What `open` took, with this config.
    pub fn open_fuel(&self) -> u64 {
        self.loaded.open_fuel
    }

    /// Texts may come by dictionary.
    pub fn accepts_dict(&self) -> bool {
        self.loaded.signature.accepts_dict
    }

    /// What the guest counted so far, in calls that were good.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.loaded.console.counters()
    }

    /// What it cost so far.
    pub fn figures(&self) -> Figures {
        self.loaded.meter.read()
    }

    /// How it fares.
    pub fn health(&self) -> Health {
        self.loaded.meter.health()
    }

    pub fn worker(&self) -> Result<Worker> {
        Worker::new(self.loaded.clone())
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loaded { file, settings, signature, .. } = &*self.loaded;
        f.debug_struct("Program")
            .field("file", file)
            .field("settings", settings)
            .field("signature", signature)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    /// An instance that is open and has the signature that was checked.
    fn instance(&self) -> Result<Instance> {
        let host = Host::new(self.console.clone());
        let instance = Instance::new(&self.component, host, self.meter.clone(), self.settings.memory_bytes_max());
        let mut instance = instance.map_err(|cause| {
            Error::retry("no instance of the plugin").caused_by(load::not_started(&cause)).at(self.place())
        })?;
        let opened = instance.open(&self.settings.config);
        let signature = opened.ok().and_then(Result::ok).and_then(|signature| Signature::new(signature).ok());
        if signature.as_ref() != Some(&self.signature) {
            let other = "the component's open does not always give the same signature for the same config";
            return Err(Error::stop(other).at(self.place()));
        }
        Ok(instance)
    }

    /// A row failed alone.
    fn failed(&self, code: &str, reason: &str) {
        if self.meter.failed(code, reason) {
            self.console.error(&format!("the plugin is failing, and its rows are rejects ({code}): {reason}"));
        }
    }

    fn answered(&self, rows: usize) {
        if self.meter.answered(rows) {
            self.console.info("the plugin answers again");
        }
    }

    fn place(&self) -> String {
        format!("plugin `{}`", self.settings.stage)
    }
}

#[cfg(test)]
mod tests;
