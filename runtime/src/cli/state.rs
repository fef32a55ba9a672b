//! `--state`: what outlives a process, of a pipeline that runs on services.
//!
//! Invariant: an environment that names a folder is no wish: an image that sets it may run on an embedded folder, which
//! has all of that itself.

use std::env;
use std::path::PathBuf;

use clap::Args;
use millrace::ground::Ground;

const VARIABLE: &str = "MILLRACE_STATE";
const DEFAULT: &str = ".millrace/state";

#[derive(Args)]
pub struct State {
    /// Folder for the files of each generation and the workers' slots; keep it between starts [env: MILLRACE_STATE]
    /// [default: .millrace/state]
    #[arg(long, value_name = "DIR", conflicts_with = "embedded")]
    state: Option<PathBuf>,
}

impl State {
    pub fn folder(&self, ground: &Ground) -> PathBuf {
        match ground {
            Ground::Embedded(folder) => folder.join("state"),
            Ground::Services => {
                let of_environment = || env::var_os(VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
                self.state.clone().or_else(of_environment).unwrap_or_else(|| DEFAULT.into())
            }
        }
    }
}
