//! JavaScript: componentize-js makes a component of `main.js`, the modules beside it and a JavaScript engine.

use std::path::Path;
use std::process::Command;

use super::BuildError;
use super::sources::{self, Sources};

pub const TOOL: &str = "componentize-js";
const PACKAGE: &str = "@bytecodealliance/componentize-js";
const VERSION: &str = "0.23.0";
const NODE: &str = "node";

/// The tool's own command has no way to take the engine's features away; a plugin has no WASI.
const SCRIPT: &str = r#"
import { writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
const [tool, witPath, output] = process.argv.slice(1);
const { componentize } = await import(pathToFileURL(tool));
const disableFeatures = ["random", "stdio", "clocks", "http", "fetch-event"];
const { component } = await componentize({ sourcePath: "main.js", witPath, worldName: "plugin", disableFeatures });
await writeFile(output, component);
"#;

/// None: the one that is there is of these sources.
pub fn component(folder: &Path, built: &Path) -> Result<Option<Vec<u8>>, BuildError> {
    let sources = Sources::find(folder, "js")?;
    if sources.are_older_than(built) {
        return Ok(None);
    }
    let tool = sources::tool(folder, TOOL).ok_or_else(|| missing(folder))?;
    let laid = sources.lay_out()?;
    let mut node = Command::new(NODE);
    node.current_dir(&laid.sources).args(["--input-type=module", "--eval", SCRIPT]);
    node.arg(tool.join("node_modules").join(PACKAGE).join("src/componentize.js"));
    node.arg(&laid.contract).arg(laid.component());
    sources::run(node, TOOL, &laid, &no_node).map(Some)
}

fn missing(folder: &Path) -> BuildError {
    BuildError::Missing {
        what: TOOL,
        why: format!(
            "it builds plugins in JavaScript, and is looked for in `.millrace/{TOOL}` here and in each folder above"
        ),
        install: format!("`{}`", install(folder)),
    }
}

/// The command, where the tool is wanted in `.millrace` of this folder.
pub fn install(folder: &Path) -> String {
    let place = folder.join(".millrace").join(TOOL);
    format!("npm install --prefix {} {PACKAGE}@{VERSION}", place.display())
}

fn no_node() -> BuildError {
    BuildError::Missing {
        what: NODE,
        why: format!("{TOOL} runs on it"),
        install: "on Debian `apt-get install nodejs npm`".to_owned(),
    }
}
