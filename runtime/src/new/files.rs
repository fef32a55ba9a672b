//! What the binary carries of `plugins/`: templates, SDKs and the contract, so that an installed one needs no checkout.

use super::Language;

/// Where it goes, and the text.
pub type Files = &'static [(&'static str, &'static str)];

/// `from => to` of `plugins/`.
macro_rules! files {
    ($($from:literal => $to:literal),* $(,)?) => {
        &[$(($to, include_str!(concat!("../../../plugins/", $from)))),*]
    };
}

const RUST: Files = files![
    "templates/rust/Cargo.toml" => "Cargo.toml",
    "templates/rust/src/lib.rs" => "src/lib.rs",
    "templates/cases/orders/in.jsonl" => "cases/orders/in.jsonl",
    "templates/cases/orders/out.jsonl" => "cases/orders/out.jsonl",
    "templates/cases/orders/rejects.jsonl" => "cases/orders/rejects.jsonl",
    "templates/pipeline.toml" => "pipeline.toml",
    "templates/README.md" => "README.md",
    "templates/gitignore" => ".gitignore",
];

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
    "sdk-derive/src/lib.rs" => "sdk-derive/src/lib.rs",
];

pub fn template(language: Language) -> Files {
    match language {
        Language::Rust => RUST,
    }
}

pub fn sdk(language: Language) -> Files {
    match language {
        Language::Rust => RUST_SDK,
    }
}

/// The file that an author changes.
pub fn source(language: Language) -> &'static str {
    match language {
        Language::Rust => "src/lib.rs",
    }
}
