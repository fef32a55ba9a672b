//! JavaScript: componentize-js makes a component of `main.js`, the modules beside it and a JavaScript engine.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::BuildError;
use super::sources::{self, Sources};
use crate::path::word;

pub const TOOL: &str = "componentize-js";
const PACKAGE: &str = "@bytecodealliance/componentize-js";
const VERSION: &str = "0.23.0";
const NODE: &str = "node";

/// The tool's own command has no way to take the engine's features away; a plugin has no WASI. Of a mistake in a source
/// it only says that there is one: Node's own parser says where.
const SCRIPT: &str = r#"
import { readFile, readdir, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { SourceTextModule } from "node:vm";
const [tool, witPath, output] = process.argv.slice(1);
const { componentize } = await import(pathToFileURL(tool));
const disableFeatures = ["random", "stdio", "clocks", "http", "fetch-event"];
try {
  const { component } = await componentize({ sourcePath: "main.js", witPath, worldName: "plugin", disableFeatures });
  await writeFile(output, component);
} catch (error) {
  const files = await readdir(".", { recursive: true });
  for (const file of files.filter((file) => /\.m?js$/.test(file)).sort()) {
    // what it throws is told with the line, if nobody catches it
    new SourceTextModule(await readFile(file, "utf8"), { identifier: file });
  }
  throw error;
}
"#;

/// None: the one that is there is of these sources, built by this tool.
pub fn component(folder: &Path, built: &Path) -> Result<Option<Vec<u8>>, BuildError> {
    let sources = Sources::find(folder, "js")?;
    let package = sources::tool(folder, TOOL).map(|tool| tool.join("node_modules").join(PACKAGE));
    // where there is no tool, the one that would be wanted
    let version = package.as_deref().map_or_else(|| VERSION.to_owned(), version);
    let mark = sources.mark(&[TOOL, &version, SCRIPT]);
    if mark.is_on(built) {
        return Ok(None);
    }
    let package = package.ok_or_else(|| missing(folder))?;
    let laid = sources.lay_out()?;
    let mut node = Command::new(NODE);
    node.current_dir(&laid.sources).args([
        "--no-warnings",
        "--experimental-vm-modules",
        "--input-type=module",
        "--eval",
        SCRIPT,
    ]);
    node.arg(package.join("src/componentize.js")).arg(&laid.contract).arg(laid.component());
    let component = sources::run(node, TOOL, &laid, &no_node)?;
    Ok(Some(mark.put_on(component)))
}

/// By the package's own word. Where it says none, nothing is known of it.
fn version(package: &Path) -> String {
    let said = fs::read(package.join("package.json")).ok();
    let said = said.and_then(|said| serde_json::from_slice::<Value>(&said).ok());
    said.and_then(|said| said["version"].as_str().map(str::to_owned)).unwrap_or_default()
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
    format!("npm install --prefix {} {PACKAGE}@{VERSION}", word(&place))
}

fn no_node() -> BuildError {
    BuildError::Missing {
        what: NODE,
        why: format!("{TOOL} runs on it"),
        install: "on Debian `apt-get install nodejs npm`".to_owned(),
    }
}
