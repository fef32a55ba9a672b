//! `millrace new`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use millrace::new;
use millrace::path::word;
use millrace::stage::plugin::build::Language;

use super::out;

#[derive(Subcommand)]
pub enum New {
    /// Make a folder with a plugin, its cases, a pipeline that runs it, and the SDK
    #[command(after_help = "Example:\n  millrace new plugin greeting --lang rust && millrace plugin test greeting")]
    Plugin {
        /// The folder to make; its last part is the plugin's name
        folder: PathBuf,
        /// What the plugin is written in
        #[arg(long, default_value = "rust")]
        lang: Lang,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Lang {
    Rust,
    Python,
    #[value(name = "js")]
    JavaScript,
}

impl New {
    pub fn run(&self) -> Result<(), String> {
        let New::Plugin { folder, lang } = self;
        let language = match lang {
            Lang::Rust => Language::Rust,
            Lang::Python => Language::Python,
            Lang::JavaScript => Language::JavaScript,
        };
        let files = new::plugin(folder, language).map_err(|error| format!("error: {error}"))?;
        files.iter().for_each(|file| out::tell(format_args!("written: {}", file.display())));
        out::tell(format_args!("next: millrace plugin test {}", word(folder)));
        Ok(())
    }
}
