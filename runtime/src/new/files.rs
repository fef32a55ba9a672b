//! What the binary carries of `plugins/`: templates, SDKs and the contract, so that an installed one needs no checkout.

use crate::config::FUEL_PER_ROW_MAX;
use crate::stage::plugin::build::Language;

/// Where it goes, and the text.
pub type Files = &'static [(&'static str, &'static str)];

/// `from => to` of `plugins/`.
macro_rules! files {
    ($($from:literal => $to:literal),* $(,)?) => {
        &[$(($to, include_str!(concat!("../../../plugins/", $from)))),*]
    };
}

/// Of every language: the same orders, the same bills.
const SHARED: Files = files![
    "templates/cases/orders/in.jsonl" => "cases/orders/in.jsonl",
    "templates/cases/orders/out.jsonl" => "cases/orders/out.jsonl",
    "templates/cases/orders/rejects.jsonl" => "cases/orders/rejects.jsonl",
    "templates/pipeline.toml" => "pipeline.toml",
    "templates/README.md" => "README.md",
    "templates/gitignore" => ".gitignore",
];

const RUST: Files = files![
    "templates/rust/Cargo.toml" => "Cargo.toml",
    "templates/rust/src/lib.rs" => "src/lib.rs",
];

const PYTHON: Files = files!["templates/python/main.py" => "main.py"];

const JAVASCRIPT: Files = files!["templates/javascript/main.js" => "main.js"];

const RUST_SDK: Files = files![
    "Cargo.toml" => "Cargo.toml",
    "wit/plugin.wit" => "wit/plugin.wit",
    "sdk/Cargo.toml" => "sdk/Cargo.toml",
    "sdk/src/bindings.rs" => "sdk/src/bindings.rs",
    "sdk/src/input.rs" => "sdk/src/input.rs",
    "sdk/src/lib.rs" => "sdk/src/lib.rs",
    "sdk/src/output.rs" => "sdk/src/output.rs",
    "sdk/src/row.rs" => "sdk/src/row.rs",
    "sdk/src/signature.rs" => "sdk/src/signature.rs",
    "sdk/src/value.rs" => "sdk/src/value.rs",
    "sdk-derive/Cargo.toml" => "sdk-derive/Cargo.toml",
    "sdk-derive/src/expand.rs" => "sdk-derive/src/expand.rs",
    "sdk-derive/src/function.rs" => "sdk-derive/src/function.rs",
    "sdk-derive/src/lib.rs" => "sdk-derive/src/lib.rs",
];

const PYTHON_SDK: Files = files![
    "sdk-python/millrace/__init__.py" => "__init__.py",
    "sdk-python/millrace/absent.py" => "absent.py",
    "sdk-python/millrace/columns.py" => "columns.py",
    "sdk-python/millrace/guest.py" => "guest.py",
];

const JAVASCRIPT_SDK: Files = files![
    "sdk-js/millrace/absent.js" => "absent.js",
    "sdk-js/millrace/columns.js" => "columns.js",
    "sdk-js/millrace/index.d.ts" => "index.d.ts",
    "sdk-js/millrace/index.js" => "index.js",
];

pub fn template(language: Language) -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = match language {
        Language::Rust => RUST,
        Language::Python => PYTHON,
        Language::JavaScript => JAVASCRIPT,
    };
    own.iter().chain(SHARED).copied()
}

pub fn sdk(language: Language) -> Files {
    match language {
        Language::Rust => RUST_SDK,
        Language::Python => PYTHON_SDK,
        Language::JavaScript => JAVASCRIPT_SDK,
    }
}

/// The file that an author changes.
pub fn source(language: Language) -> &'static str {
    match language {
        Language::Rust => "src/lib.rs",
        Language::Python => "main.py",
        Language::JavaScript => "main.js",
    }
}

/// What the pipeline says of fuel, where it is not what a pipeline has that says nothing.
pub fn fuel(language: Language) -> String {
    match language.fuel_per_row_max() {
        FUEL_PER_ROW_MAX => String::new(),
        fuel => format!(
            "# an interpreter takes tens of thousands a row, and the rows of a call share what one may take\n\
             fuel_per_row_max = {}\n",
            grouped(fuel)
        ),
    }
}

/// As people write large numbers in TOML: `20_000_000`.
fn grouped(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{}_{:03}", grouped(number / 1_000), number % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn fuel_is_that_of_the_language() {
        assert_eq!(fuel(Language::Rust), "");
        assert!(fuel(Language::Python).ends_with("\nfuel_per_row_max = 20_000_000\n"), "{}", fuel(Language::Python));
        assert_eq!([0, 999, 1_000, 1_234_005].map(grouped), ["0", "999", "1_000", "1_234_005"]);
    }

    /// A file of an SDK that is forgotten here is missing in every new plugin.
    #[test]
    fn every_file_of_the_sdks_comes_along() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
        for (sdk, folder, carried) in [
            (RUST_SDK, "sdk/src", "sdk/src/"),
            (RUST_SDK, "sdk-derive/src", "sdk-derive/src/"),
            (RUST_SDK, "wit", "wit/"),
            (PYTHON_SDK, "sdk-python/millrace", ""),
            (JAVASCRIPT_SDK, "sdk-js/millrace", ""),
        ] {
            let there = std::fs::read_dir(plugins.join(folder)).expect("an SDK").map(|entry| entry.expect("a file"));
            let there = there.map(|entry| entry.file_name().into_string().expect("a name"));
            let there: BTreeSet<_> = there.filter(|name| !name.starts_with("__py")).collect();
            let carried: BTreeSet<_> =
                sdk.iter().filter_map(|(to, _)| to.strip_prefix(carried)).map(str::to_owned).collect();
            let carried: BTreeSet<_> = carried.into_iter().filter(|name| !name.contains('/')).collect();
            assert!(there.is_subset(&carried), "{folder}: {there:?} and {carried:?}");
        }
    }
}
