//! Python: componentize-py makes a component of `main.py`, the modules beside it and a Python interpreter.

use std::path::Path;
use std::process::Command;

use super::BuildError;
use super::sources::{self, Sources};

pub const TOOL: &str = "componentize-py";
const VERSION: &str = "0.25.1";
const PYTHON: &str = "python3";

/// None: the one that is there is of these sources.
pub fn component(folder: &Path, built: &Path) -> Result<Option<Vec<u8>>, BuildError> {
    let sources = Sources::find(folder, "py")?;
    if sources.are_older_than(built) {
        return Ok(None);
    }
    let tool = sources::tool(folder, TOOL).ok_or_else(|| missing(folder))?;
    let laid = sources.lay_out()?;
    let mut python = Command::new(PYTHON);
    python.current_dir(&laid.sources).env("PYTHONPATH", &tool).env("RUST_BACKTRACE", "0").env_remove("VIRTUAL_ENV");
    python.args(["-c", "import sys; from componentize_py import script; sys.exit(script())"]);
    python.arg("--wit-path").arg(&laid.contract).args(["--world", "plugin", "componentize"]);
    // a plugin has no WASI: what the interpreter would ask of it is a trap
    python.args(["--stub-wasi", "--python-path", ".", "--output"]).arg(laid.component()).arg("main");
    sources::run(python, TOOL, &laid, &no_python).map(Some)
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
    format!("{PYTHON} -m pip install --target {} {TOOL}=={VERSION}", place.display())
}

fn no_python() -> BuildError {
    BuildError::Missing {
        what: PYTHON,
        why: format!("{TOOL} runs on it"),
        install: "on Debian `apt-get install python3 python3-pip`".to_owned(),
    }
}
