//! `millrace positions`: where a pipeline stands in each partition, and moving it by hand.

mod reset;
mod show;

use std::path::Path;

use clap::Subcommand;
use millrace::plan::Plan;

use super::ground::Pipeline;

#[derive(Subcommand)]
pub enum Positions {
    /// Print the head's and every sink's position; it changes nothing, and the pipeline may run
    Show(show::Options),
    /// Move positions of a pipeline that does not run: it says what that repeats or skips, and asks
    Reset(reset::Options),
}

impl Positions {
    pub fn file(&self) -> &Path {
        match self {
            Positions::Show(options) => &options.pipeline.file,
            Positions::Reset(options) => &options.pipeline.file,
        }
    }

    pub fn run(&self, plan: &Plan) -> Result<(), String> {
        match self {
            Positions::Show(options) => show::run(plan, options),
            Positions::Reset(options) => reset::run(plan, options),
        }
    }
}
