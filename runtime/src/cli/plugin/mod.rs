//! `millrace plugin`.

mod bench;
mod inspect;
mod test;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use millrace::new;
use millrace::path::word;
use millrace::stage::plugin::build::Language;
use millrace::stage::plugin::{CannotLoad, Program, Settings, build};

use super::out;

#[derive(Subcommand)]
pub enum Plugin {
    /// Build a plugin into the component beside its source, and print the component's path
    #[command(
        after_help = "A folder with a Cargo.toml is Rust, and takes one that can build for wasm32-unknown-unknown; \
        one with a main.py is\nPython, and one with a main.js JavaScript: what these need is said with the command that \
        installs it.\n\n\
        Example:\n  millrace plugin build plugins/flight-features"
    )]
    Build {
        /// The plugin's folder
        folder: PathBuf,
    },
    /// Give a plugin's folder the SDK and the contract of this millrace, in place of those that it has
    #[command(after_help = "Example:\n  millrace plugin renew plugins/mine && millrace plugin test plugins/mine")]
    Renew {
        /// The plugin's folder
        folder: PathBuf,
    },
    /// Print what a plugin is: contract, columns, config, size, hash
    Inspect(inspect::Options),
    /// Build a plugin and run its cases, without any pipeline
    Test(test::Options),
    /// Measure what a row costs, at several numbers of rows a call
    Bench(bench::Options),
}

impl Plugin {
    pub fn run(&self) -> Result<(), String> {
        match self {
            Plugin::Build { folder } => {
                let component = build(folder)?;
                out::print(format!("{}\n", component.display())).map(drop)
            }
            Plugin::Renew { folder } => {
                let renewed = new::renew(folder).map_err(|error| format!("error: {error}"))?;
                out::print(format!("{}\n", renewed.display())).map(drop)
            }
            Plugin::Inspect(options) => inspect::run(options),
            Plugin::Test(options) => test::run(options),
            Plugin::Bench(options) => bench::run(options),
        }
    }
}

/// As a pipeline has it that says nothing.
const NO_CONFIG: &str = "{}";

/// A plugin, and what it may take: as in the pipeline of a new one.
#[derive(Args)]
struct Component {
    /// The component, or the plugin's folder
    plugin: PathBuf,
    /// The plugin's config, as JSON [default: {}]
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Args)]
struct Limits {
    /// Memory of an instance
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    memory_mib_max: u32,
    /// What a row may cost, in WebAssembly instructions, roughly [default: 1000000, and 20000000 for a plugin in Python
    /// or JavaScript, as `millrace new` writes it into the pipeline]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    fuel_per_row_max: Option<u64>,
}

impl Component {
    fn load(&self) -> Result<Program, String> {
        self.limits.load(&self.plugin, self.config())
    }

    fn try_load(&self) -> Result<Program, CannotLoad> {
        self.limits.try_load(&self.plugin, self.config())
    }

    fn config(&self) -> &str {
        self.config.as_deref().unwrap_or(NO_CONFIG)
    }
}

impl Limits {
    /// Of a component, or of a plugin's folder.
    fn load(&self, plugin: &Path, config: &str) -> Result<Program, String> {
        self.try_load(plugin, config).map_err(|error| format!("error: {error}{}", help(plugin, &error)))
    }

    fn try_load(&self, plugin: &Path, config: &str) -> Result<Program, CannotLoad> {
        let settings = Settings {
            stage: Arc::from("plugin"),
            memory_mib_max: self.memory_mib_max,
            fuel_per_row_max: self.fuel_per_row_max(plugin),
            config: config.to_owned(),
        };
        Program::load(&build::component_of(plugin), settings)
    }

    fn fuel_per_row_max(&self, plugin: &Path) -> u64 {
        let of_language = || build::language_of(plugin).unwrap_or(Language::Rust).fuel_per_row_max();
        self.fuel_per_row_max.unwrap_or_else(of_language)
    }
}

/// What to do: where to look for what a config may be, how a component comes to be there.
fn help(plugin: &Path, error: &CannotLoad) -> String {
    match error {
        CannotLoad::Component(error) if !error.file.exists() => match build::folder_of(&error.file) {
            Some(folder) => format!("\n`millrace plugin build {}` makes it", word(folder)),
            None if plugin.is_dir() => format!("\n{}", build::BuildError::NotAPlugin(plugin.to_owned())),
            None => String::new(),
        },
        CannotLoad::Component(_) => String::new(),
        CannotLoad::Config { .. } => format!("\n`millrace plugin inspect {}` shows its schema", word(plugin)),
    }
}

fn build(folder: &Path) -> Result<PathBuf, String> {
    build::build(folder).map_err(|error| format!("error: {error}"))
}
