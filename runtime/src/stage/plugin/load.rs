//! A component from its file to a signature; what is wrong with it, in words that say what to do.
//!
//! Invariant: whatever the bytes are, loading ends with a program or an error, never with a panic.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use wasmparser::{Encoding, Parser, Payload};
use wasmtime::component::Component;

use super::bindings::millrace::plugin::types;
use super::config::{self, Fault};
use super::figures::Meter;
use super::functions;
use super::host::{Console, Host};
use super::instance::{Failure, Instance, NotStarted, OPEN_FUEL, engine, link};
use super::{Loaded, Settings};
use crate::hash::sha256;
use crate::schema::{Field, Kind, Type};
use crate::stage::LoadError;
use crate::words;

const PACKAGE: &str = "millrace:plugin/";
const IMPORTS: [&str; 2] = ["millrace:plugin/host@1.0.0", "millrace:plugin/types@1.0.0"];
const EXPORT: &str = "millrace:plugin/transform@1.0.0";
const OTHER_WORLD: &str =
    "build it by `millrace plugin build`, or for the world `plugin` of the contract (`millrace new plugin` has it)";
/// How a plugin comes to the contract of this binary.
const RENEW: &str = "`millrace plugin renew FOLDER` gives its folder the SDK of this millrace: then build it again";
/// What a plugin and its host have agreed on.
pub const CONTRACT: &str = "millrace:plugin@1.0.0";

/// Any WebAssembly begins so; then come version and layer, where a module has 1 and 0.
const MAGIC: &[u8] = b"\0asm";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// An interpreter with its library has 20.
const COMPONENT_MIB_MAX: usize = 64;
/// An interpreter's largest has a tenth: compiling costs more than in proportion to it, time and memory.
const FUNCTION_KIB_MAX: usize = 1_024;
/// Of a core, so that a busy machine refuses nothing. An interpreter takes 10, and 60 in a debug build.
const COMPILE_TIME_MAX: Duration = Duration::from_secs(300);
/// How often it is looked at.
const COMPILE_LOOK: Duration = Duration::from_millis(50);

const FIELDS_MAX: usize = 1_024;
const NAME_BYTES_MAX: usize = 256;
const MESSAGE_BYTES_MAX: usize = 1_024;
const FAULTS_SHOWN_MAX: usize = 8;

/// Why there is no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannotLoad {
    Component(LoadError),
    /// It is in order, and does not take its config.
    Config {
        file: PathBuf,
        /// Of the bytes that were loaded.
        sha256: String,
        /// With the schema, for whoever has to write a config.
        manifest: Box<Manifest>,
        faults: Vec<Fault>,
    },
}

impl From<LoadError> for CannotLoad {
    fn from(error: LoadError) -> CannotLoad {
        CannotLoad::Component(error)
    }
}

impl fmt::Display for CannotLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CannotLoad::Component(error) => error.fmt(f),
            CannotLoad::Config { file, faults, .. } => LoadError::new(file, config_faults(faults)).fmt(f),
        }
    }
}

pub fn load(file: &Path, settings: Settings) -> Result<Loaded, CannotLoad> {
    let error = |message: String| LoadError::new(file, message);
    let bytes = read(file).map_err(|cause| error(format!("cannot be read: {cause}")))?;
    let sha256 = sha256(&bytes);
    let component = compile(bytes).map_err(error)?;
    world(&component).map_err(error)?;
    let component = link(&component).map_err(|cause| error(other_shape(&cause)))?;
    let (console, meter) = (Arc::new(Console::new(settings.stage.clone())), Arc::new(Meter::default()));
    // an instance now: only this finds an interface of the right name and another shape; one for each question, so that
    // no answer depends on what was asked before
    let instance = || {
        let host = Host::new(console.clone());
        let instance = Instance::new(&component, host, meter.clone(), settings.memory_bytes_max());
        instance.map_err(|cause| error(not_started(&cause)))
    };
    let manifest = instance()?.describe().map_err(|failure| error(failed("describe", &failure)))?;
    let manifest = Manifest::new(manifest);
    let refused = |faults: Vec<Fault>| {
        let (file, sha256, manifest) = (file.to_owned(), sha256.clone(), Box::new(manifest.clone()));
        CannotLoad::Config { file, sha256, manifest, faults }
    };
    let faults = config::faults(&manifest.config_schema, &settings.config);
    let faults = faults.map_err(|wrong| error(format!("its config schema {wrong}")))?;
    if !faults.is_empty() {
        return Err(refused(faults));
    }
    let mut opening = instance()?;
    let opened = opening.open(&settings.config).map_err(|failure| error(failed("open", &failure)))?;
    let open_fuel = OPEN_FUEL - opening.fuel_left().min(OPEN_FUEL);
    let fault = |error: &types::ConfigError| Fault::new(&error.path, &error.message);
    let signature = opened.map_err(|errors| refused(errors.iter().take(config::FAULTS_MAX).map(fault).collect()))?;
    let signature = Signature::new(signature).map_err(|wrong| error(format!("its signature is wrong: {wrong}")))?;
    let file = file.to_owned();
    Ok(Loaded { file, sha256, manifest, open_fuel, settings, component, signature, console, meter })
}

/// The file, or of one that is too large a byte more than may be.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take((COMPONENT_MIB_MAX << 20) as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn compile(bytes: Vec<u8>) -> Result<Component, String> {
    if !bytes.starts_with(MAGIC) {
        return Err("is not WebAssembly: a component is wanted, as `millrace plugin build` makes it".into());
    }
    if bytes.starts_with(MODULE) {
        return Err("is a WebAssembly module and no component: name the plugin's folder, or the file that \
                    `millrace plugin build` makes in it"
            .into());
    }
    if bytes.len() > COMPONENT_MIB_MAX << 20 {
        return Err(format!("is larger than {COMPONENT_MIB_MAX} MiB: build it without debug information"));
    }
    parts(&bytes)?;
    let engine = engine().map_err(|error| format!("WebAssembly cannot run here: {error:#}"))?;
    let compiled = within(COMPILE_TIME_MAX, move || functions::of(bytes.len(), || Component::new(engine, bytes)));
    let compiled = compiled.ok_or_else(|| {
        format!("takes more than {} s of a core to compile: make it smaller", COMPILE_TIME_MAX.as_secs())
    })?;
    compiled
        .map_err(|error| format!("is not a valid component: {}. Build it again: `millrace plugin build`", text(&error)))
}

/// What is in it that may not be, as far as it can be read: what cannot is found by compiling.
fn parts(bytes: &[u8]) -> Result<(), String> {
    // of each that is open: is it a component? One within another holds types alone where a tool added it by itself
    let mut open = Vec::new();
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        match payload {
            Payload::Version { encoding, .. } => open.push(encoding == Encoding::Component),
            Payload::End(_) => drop(open.pop()),
            Payload::ModuleSection { .. } if open.iter().filter(|is_component| **is_component).count() > 1 => {
                let why = "what they hand to each other takes no fuel. Make one of them";
                return Err(format!("is composed of several components: {why}"));
            }
            Payload::CodeSectionEntry(function) if function.range().len() > FUNCTION_KIB_MAX << 10 => {
                let kib = function.range().len() >> 10;
                return Err(format!(
                    "has a function of {kib} KiB, and {FUNCTION_KIB_MAX} is the most: cut it in parts"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// None: it takes more time of a core. A compiler cannot be stopped, so it goes on by itself until it is done, bounded by
/// the sizes.
pub fn within<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (begins, begun) = mpsc::channel();
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        let _ = begins.send(rustix::thread::gettid().as_raw_nonzero());
        // nobody waits any more: what it made is dropped
        let _ = done.send(work());
    });
    let (started, thread) = (Instant::now(), begun.recv().ok()?);
    loop {
        match wait.recv_timeout(COMPILE_LOOK) {
            Ok(made) => return Some(made),
            Err(mpsc::RecvTimeoutError::Timeout)
                if time_of(thread.get()).unwrap_or_else(|| started.elapsed()) < time => {}
            Err(_) => return None,
        }
    }
}

/// That a thread of this process was on a core, by its `stat`: utime and stime, in hundredths of a second. None: this
/// kernel does not say.
fn time_of(thread: i32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    // the name, which may hold anything, ends with the last parenthesis; the state is next
    let mut figures = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut next = || figures.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (next()? + next()?)))
}

/// Does it import and export what a plugin does, by name?
fn world(component: &Component) -> Result<(), String> {
    let ty = component.component_type();
    let imports = ty.imports(component.engine()).map(|(name, _)| name);
    imports.filter(|name| !IMPORTS.contains(name)).try_for_each(|name| Err(wrong_import(name)))?;
    let exports: Vec<_> = ty.exports(component.engine()).map(|(name, _)| name).collect();
    if exports.contains(&EXPORT) {
        return Ok(());
    }
    Err(match exports.iter().find(|name| name.starts_with(PACKAGE)) {
        Some(other) => format!("exports `{other}` where this millrace takes `{EXPORT}`: {}", other_version(other)),
        None if exports.is_empty() => format!("exports nothing, where a plugin exports `{EXPORT}`: {OTHER_WORLD}"),
        None => format!("is no plugin: it exports `{}` and not `{EXPORT}`: {OTHER_WORLD}", exports.join("`, `")),
    })
}

fn wrong_import(name: &str) -> String {
    let why = match name {
        _ if name.starts_with("wasi:") => {
            "a plugin has no WASI. `millrace plugin build` builds Rust, Python and JavaScript without it; with other \
             tools take the target wasm32-unknown-unknown, or their stubs for WASI"
                .into()
        }
        _ if name.starts_with(PACKAGE) => other_version(name),
        _ => format!("a plugin gets nothing but `{}`. Take what calls it out of the plugin", IMPORTS[0]),
    };
    format!("imports `{name}`: {why}")
}

fn other_version(name: &str) -> String {
    let version = name.rsplit_once('@').map_or("another version", |(_, version)| version);
    format!(
        "it was built for {version} of the contract, and this millrace has {CONTRACT}. {RENEW}; or take the millrace of it"
    )
}

fn other_shape(cause: &wasmtime::Error) -> String {
    format!("does not fit the contract {CONTRACT}: {}. {RENEW}", text(cause))
}

/// Why there is no instance, and what to do.
pub fn not_started(cause: &NotStarted) -> String {
    match cause {
        NotStarted::Memory(bound) => format!("does not start: {bound}; raise the stage's `memory_mib_max`"),
        NotStarted::Endless => format!("does not start: {}", endless()),
        NotStarted::Trap(reason) => format!("does not start: {reason}"),
        NotStarted::Shape(cause) => other_shape(cause),
    }
}

fn endless() -> String {
    format!("it took more than the {OPEN_FUEL} units of fuel that there are to start with: do less there")
}

fn text(error: &wasmtime::Error) -> String {
    words::sentence(&format!("{error:#}"), MESSAGE_BYTES_MAX)
}

fn failed(function: &str, failure: &Failure) -> String {
    match failure {
        Failure::Trap(reason) => format!("`{function}` failed: {reason}"),
        Failure::Fuel => format!("`{function}` does not come to an end: {}", endless()),
        Failure::Invalid(reason) | Failure::TooMuch(reason) => {
            format!("`{function}` returned what the contract does not allow: {reason}")
        }
        Failure::Error(reason) => format!("`{function}` failed: {reason}"),
    }
}

fn config_faults(faults: &[Fault]) -> String {
    let one = |fault: &Fault| match &fault.path {
        path if path.is_empty() => fault.message.clone(),
        path => format!("`{path}`: {}", fault.message),
    };
    let shown: Vec<_> = faults.iter().take(FAULTS_SHOWN_MAX).map(one).collect();
    let more = match faults.len().saturating_sub(FAULTS_SHOWN_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("does not accept its config: {}{more}", shown.join("; "))
}

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    /// A JSON Schema, as the plugin gave it; empty: it takes no config.
    pub config_schema: String,
}

impl Manifest {
    fn new(types::Manifest { name, version, config_schema }: types::Manifest) -> Manifest {
        let [name, version] = [name, version].map(|text| words::word(&text, NAME_BYTES_MAX));
        Manifest { name, version, config_schema }
    }
}

/// What a plugin does to the columns: names are there and differ.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    pub reads: Vec<Field>,
    pub adds: Vec<Field>,
    pub drops: Vec<String>,
    pub accepts_dict: bool,
}

impl Signature {
    pub fn new(signature: types::Signature) -> Result<Signature, String> {
        let types::Signature { reads, adds, drops, accepts_dict } = signature;
        names("reads", reads.iter().map(|field| &*field.name))?;
        names("adds", adds.iter().map(|field| &*field.name))?;
        names("drops", drops.iter().map(|name| &**name))?;
        let fields = |fields: Vec<types::Field>| fields.into_iter().map(field).collect();
        Ok(Signature { reads: fields(reads), adds: fields(adds), drops, accepts_dict })
    }
}

fn names<'a>(side: &str, names: impl ExactSizeIterator<Item = &'a str>) -> Result<(), String> {
    if names.len() > FIELDS_MAX {
        return Err(format!("it {side} {} columns, and {FIELDS_MAX} is the most", names.len()));
    }
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(format!("it {side} a column with a name of {} bytes", name.len()));
        }
        if !seen.insert(name) {
            return Err(format!("it {side} `{}` twice", words::sentence(name, NAME_BYTES_MAX)));
        }
    }
    Ok(())
}

fn field(types::Field { name, kind, list, nullable }: types::Field) -> Field {
    let kind = match kind {
        types::Kind::Boolean => Kind::Boolean,
        types::Kind::Int64 => Kind::Int64,
        types::Kind::Float64 => Kind::Float64,
        types::Kind::Text => Kind::Text,
        types::Kind::Binary => Kind::Binary,
        types::Kind::Date => Kind::Date,
        types::Kind::Timestamp => Kind::Timestamp,
    };
    Field::new(name, Type { kind, list, nullable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_not_waited_for() {
        let (go, wait) = mpsc::channel::<()>();
        assert_eq!(within(Duration::ZERO, move || wait.recv().is_ok()), None);
        // it waits until here
        drop(go);
        assert_eq!(within(COMPILE_TIME_MAX, || 7), Some(7));
    }
}
