//! Python: componentize-py makes a component of `main.py`, the modules beside it and a Python interpreter.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::BuildError;
use super::sources::{self, Sources};
use crate::path::word;

pub const TOOL: &str = "componentize-py";
/// As its folder is called.
const PACKAGE: &str = "componentize_py-";
const VERSION: &str = "0.25.1";
const PYTHON: &str = "python3";

/// Runs the tool's own command; then come its arguments.
const SCRIPT: &str = "import sys; from componentize_py import script; sys.exit(script())";
/// A plugin has no WASI: what the interpreter would ask of it is a trap.
const FLAGS: [&str; 6] = ["--world", "plugin", "componentize", "--stub-wasi", "--python-path", "."];

/// None: the one that is there is of these sources, built by this tool.
pub fn component(folder: &Path, built: &Path) -> Result<Option<Vec<u8>>, BuildError> {
    let sources = Sources::find(folder, "py")?;
    let tool = sources::tool(folder, TOOL);
    // where there is no tool, the one that would be wanted
    let version = tool.as_deref().map_or_else(|| VERSION.to_owned(), version);
    let mark = sources.mark(&[&[TOOL, &version, SCRIPT], &FLAGS[..]].concat());
    if mark.is_on(built) {
        return Ok(None);
    }
    let tool = tool.ok_or_else(|| missing(folder))?;
    let laid = sources.lay_out()?;
    let mut python = Command::new(PYTHON);
    python.current_dir(&laid.sources).env("PYTHONPATH", &tool).env("RUST_BACKTRACE", "0").env_remove("VIRTUAL_ENV");
    python.args(["-c", SCRIPT, "--wit-path"]).arg(&laid.contract).args(FLAGS);
    python.arg("--output").arg(laid.component()).arg("main");
    let component = sources::run(python, TOOL, &laid, &no_python)?;
    Ok(Some(mark.put_on(component)))
}

/// As pip wrote it beside the package: `componentize_py-0.25.1.dist-info`. Where it did not, nothing is known of it.
fn version(tool: &Path) -> String {
    let names = fs::read_dir(tool).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut versions: Vec<_> = names.filter(|name| name.starts_with(PACKAGE) && name.ends_with(".dist-info")).collect();
    versions.sort();
    versions.join(" ")
}

fn missing(folder: &Path) -> BuildError {
    BuildError::Missing {
        what: TOOL,
        why: format!(
            "it builds plugins in Python, and is looked for in `.millrace/{TOOL}` here and in each folder above"
        ),
        install: format!("`{}`", install(folder)),
    }
}

/// The command, where the tool is wanted in `.millrace` of this folder.
pub fn install(folder: &Path) -> String {
    let place = folder.join(".millrace").join(TOOL);
    format!("{PYTHON} -m pip install --target {} {TOOL}=={VERSION}", word(&place))
}

fn no_python() -> BuildError {
    BuildError::Missing {
        what: PYTHON,
        why: format!("{TOOL} runs on it"),
        install: "on Debian `apt-get install python3 python3-pip`".to_owned(),
    }
}
