//! A guest's instance: its memory, its fuel, one call at a time.
//!
//! Invariant: a call ends. Fuel bounds what the guest computes, `Memory` what it holds, hostcall fuel what it hands
//! back. An instance whose call failed is not called again. There is no clock in this: the same call in the same
//! state ends in the same way on every machine.

use std::sync::{Arc, LazyLock};

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, OperatorCost, ResourceLimiter, Store, Trap};

use super::bindings::exports::millrace::plugin::transform::Column;
use super::bindings::millrace::plugin::types::{ConfigError, Manifest, Output, Signature};
use super::bindings::{Plugin, PluginPre};
use super::cache;
use super::figures::Meter;
use super::functions;
use super::host::{Flood, Host};
use super::lift::Lie;
use crate::words;

/// Compiled JavaScript and Python guests bring a dozen; a Rust guest one or two.
const CORE_INSTANCES_MAX: usize = 64;
const TABLES_MAX: usize = 64;
const MEMORIES_MAX: usize = 8;
/// Of all tables of an instance together.
const TABLE_ELEMENTS_MAX: usize = 1_000_000;
/// Growing leaves the guest for the host, which takes about as long as so many instructions.
const GROW_FUEL: u8 = 200;
/// To instantiate, describe and open: an interpreter boots within it, in a few seconds at worst.
pub const OPEN_FUEL: u64 = 10_000_000_000;
pub const REASON_BYTES_MAX: usize = 512;
/// An interpreter whose author asked for what WASI would have ends so.
const WITHOUT_WORDS: &str = ". It said nothing, as where it asks for a clock, a file (an import that is not at the top of \
                             a Python source is one), the network or chance: a plugin has none";

/// One for the process: it holds what compiles and where compiled code lies.
static ENGINE: LazyLock<wasmtime::Result<Engine>> = LazyLock::new(|| {
    let mut config = Config::new();
    if let Some(functions) = functions::store() {
        config.enable_incremental_compilation(functions)?;
    }
    config
        .consume_fuel(true)
        .operator_cost(OperatorCost { MemoryGrow: GROW_FUEL, TableGrow: GROW_FUEL, ..OperatorCost::new() })
        .cache(cache::open())
        // nothing here is asynchronous, and a call is four times cheaper without
        .concurrency_support(false)
        // the same bits on every machine
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // names are stripped, and a trap says what it is by its code
        .wasm_backtrace_max_frames(None);
    Engine::new(&config)
});

pub fn engine() -> wasmtime::Result<&'static Engine> {
    ENGINE.as_ref().map_err(|error| wasmtime::Error::msg(format!("{error:#}")))
}

pub fn link(component: &Component) -> wasmtime::Result<PluginPre<State>> {
    let mut linker = Linker::new(component.engine());
    Plugin::add_to_linker::<State, HasSelf<Host>>(&mut linker, |state| &mut state.host)?;
    PluginPre::new(linker.instantiate_pre(component)?)
}

pub struct State {
    host: Host,
    memory: Memory,
}

/// Counts all memories of an instance together, and all tables.
struct Memory {
    bytes: usize,
    bytes_max: usize,
    table_elements: usize,
    /// Growth was refused in this call, of what: most guests answer with a trap that does not say so.
    exhausted: Option<Exhausted>,
    meter: Arc<Meter>,
}

#[derive(Clone, Copy)]
enum Exhausted {
    Memory,
    Tables,
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.meter.freed(self.bytes);
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = self.bytes.saturating_add(desired - current);
        // beyond the memory's own maximum it will not grow, and nothing is to be counted
        let grows = maximum.is_none_or(|maximum| desired <= maximum);
        let fits = bytes <= self.bytes_max;
        if grows && fits {
            self.meter.grew(self.bytes, bytes);
            self.bytes = bytes;
        }
        if !fits {
            self.exhausted = Some(Exhausted::Memory);
        }
        Ok(grows && fits)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let elements = self.table_elements.saturating_add(desired - current);
        let grows = maximum.is_none_or(|maximum| desired <= maximum);
        let fits = elements <= TABLE_ELEMENTS_MAX;
        if grows && fits {
            self.table_elements = elements;
        }
        if !fits {
            self.exhausted = Some(Exhausted::Tables);
        }
        Ok(grows && fits)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    Trap(String),
    Fuel,
    /// What came back is not what was agreed on.
    Invalid(String),
    /// What came back is more than the host holds for a message.
    TooMuch(String),
    /// The guest's own words.
    Error(String),
}

impl From<Lie> for Failure {
    fn from(lie: Lie) -> Failure {
        if lie.is_too_much { Failure::TooMuch(lie.to_string()) } else { Failure::Invalid(lie.to_string()) }
    }
}

pub struct Instance {
    store: Store<State>,
    plugin: Plugin,
    hostcall_bytes_max: usize,
}

impl Instance {
    pub fn new(
        program: &PluginPre<State>,
        host: Host,
        meter: Arc<Meter>,
        memory_bytes_max: usize,
    ) -> Result<Instance, NotStarted> {
        let memory = Memory { bytes: 0, bytes_max: memory_bytes_max, table_elements: 0, exhausted: None, meter };
        let mut store = Store::new(program.engine(), State { host, memory });
        store.limiter(|state| &mut state.memory);
        store.set_fuel(OPEN_FUEL).map_err(NotStarted::Shape)?;
        let plugin = match program.instantiate(&mut store) {
            Ok(plugin) => plugin,
            Err(error) => return Err(NotStarted::of(error, &store.data().memory)),
        };
        // the host never holds more of a guest's answer than the guest itself may hold
        Ok(Instance { store, plugin, hostcall_bytes_max: memory_bytes_max })
    }

    pub fn describe(&mut self) -> Result<Manifest, Failure> {
        self.call(OPEN_FUEL, |plugin, store| plugin.millrace_plugin_transform().call_describe(store))
    }

    pub fn open(&mut self, config: &str) -> Result<Result<Signature, Vec<ConfigError>>, Failure> {
        self.call(OPEN_FUEL, |plugin, store| plugin.millrace_plugin_transform().call_open(store, config))
    }

    pub fn process(&mut self, rows: u32, columns: &[Column<'_>], fuel: u64) -> Result<Output, Failure> {
        let answer =
            self.call(fuel, |plugin, store| plugin.millrace_plugin_transform().call_process(store, rows, columns))?;
        answer.map_err(|said| Failure::Error(words::sentence(&said, REASON_BYTES_MAX)))
    }

    /// Of the fuel that the last call was given.
    pub fn fuel_left(&self) -> u64 {
        self.store.get_fuel().unwrap_or(0)
    }

    /// What the last call counted counts.
    pub fn keep_counts(&mut self) {
        self.store.data_mut().host.keep_counts();
    }

    fn call<T>(
        &mut self,
        fuel: u64,
        call: impl FnOnce(&Plugin, &mut Store<State>) -> wasmtime::Result<T>,
    ) -> Result<T, Failure> {
        self.store.set_fuel(fuel).map_err(|error| Failure::Trap(error.to_string()))?;
        self.store.set_hostcall_fuel(self.hostcall_bytes_max);
        let state = self.store.data_mut();
        state.host.begin_call();
        state.memory.exhausted = None;
        call(&self.plugin, &mut self.store).map_err(|error| failure(&error, self.store.data()))
    }
}

fn failure(error: &wasmtime::Error, state: &State) -> Failure {
    let mut reason = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return Failure::Fuel,
        Some(trap) => state.memory.exhausted().unwrap_or_else(|| trap.to_string()),
        None if error.is::<Flood>() => Flood.to_string(),
        // what is no trap went wrong between guest and host: lifting a value, or a call of the host's
        None => return Failure::Invalid(words::sentence(&error.root_cause().to_string(), REASON_BYTES_MAX)),
    };
    if let Some(said) = state.host.last_error() {
        reason = format!("{reason}; it said: {said}");
    } else if error.downcast_ref() == Some(&Trap::UnreachableCodeReached) && state.memory.exhausted.is_none() {
        reason += WITHOUT_WORDS;
    }
    Failure::Trap(words::sentence(&reason, REASON_BYTES_MAX))
}

/// Why there is no instance.
#[derive(Debug)]
pub enum NotStarted {
    Memory(String),
    Endless,
    Trap(String),
    /// It is not what the contract says.
    Shape(wasmtime::Error),
}

impl NotStarted {
    fn of(error: wasmtime::Error, memory: &Memory) -> NotStarted {
        match (memory.exhausted(), error.downcast_ref::<Trap>()) {
            (Some(exhausted), _) => NotStarted::Memory(exhausted),
            (None, Some(Trap::OutOfFuel)) => NotStarted::Endless,
            (None, Some(trap)) => NotStarted::Trap(trap.to_string()),
            (None, None) => NotStarted::Shape(error),
        }
    }
}

impl Memory {
    fn exhausted(&self) -> Option<String> {
        Some(match self.exhausted? {
            Exhausted::Memory => format!("it wanted more than its {} MiB of memory", self.bytes_max >> 20),
            Exhausted::Tables => format!("it wanted more than {TABLE_ELEMENTS_MAX} elements of tables"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(bytes_max: usize) -> Memory {
        Memory { bytes: 0, bytes_max, table_elements: 0, exhausted: None, meter: Arc::default() }
    }

    #[test]
    fn memories_and_tables_are_bounded_together() {
        let mut held = memory(3 << 20);
        assert_eq!(held.memory_growing(0, 2 << 20, None).ok(), Some(true), "one memory");
        assert_eq!(held.memory_growing(0, 2 << 20, None).ok(), Some(false), "another");
        assert_eq!(held.exhausted().as_deref(), Some("it wanted more than its 3 MiB of memory"));
        let mut held = memory(1 << 20);
        assert_eq!(held.table_growing(0, 600_000, None).ok(), Some(true), "one table");
        assert_eq!(held.table_growing(600_000, 600_001, Some(600_000)).ok(), Some(false), "its own maximum");
        assert_eq!(held.exhausted(), None);
        assert_eq!(held.table_growing(0, 600_000, None).ok(), Some(false), "another");
        assert_eq!(held.exhausted().as_deref(), Some("it wanted more than 1000000 elements of tables"));
    }
}
