//! `millrace plugin`.

mod bench;
mod inspect;
mod test;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use millrace::stage::plugin::{Program, Settings, build};

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
            Plugin::Inspect(options) => inspect::run(options),
            Plugin::Test(options) => test::run(options),
            Plugin::Bench(options) => bench::run(options),
        }
    }
}

/// A plugin, and what it may take: as in a pipeline where that says nothing.
#[derive(Args)]
struct Component {
    /// The component, or the plugin's folder
    plugin: PathBuf,
    /// The plugin's config, as JSON
    #[arg(long, value_name = "JSON", default_value = "{}")]
    config: String,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Args)]
struct Limits {
    /// Memory of an instance
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    memory_mib_max: u32,
    /// What a row may cost, in WebAssembly instructions, roughly
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    fuel_per_row_max: u64,
}

impl Component {
    fn load(&self) -> Result<Program, String> {
        self.limits.load(&build::component_of(&self.plugin), &self.config)
    }
}

impl Limits {
    fn load(&self, component: &Path, config: &str) -> Result<Program, String> {
        let settings = Settings {
            stage: Arc::from("plugin"),
            memory_mib_max: self.memory_mib_max,
            fuel_per_row_max: self.fuel_per_row_max,
            config: config.to_owned(),
        };
        Program::load(component, settings).map_err(|error| format!("error: {error}"))
    }
}

fn build(folder: &Path) -> Result<PathBuf, String> {
    build::build(folder).map_err(|error| format!("error: {error}"))
}
