//! The pipeline that is put to the test: small batches, transactions and files, so that there are many moments.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::check::DocumentsOf;

const FIRST_FACTOR: i64 = 2;

const REJECTS_IN_A_TOPIC: &str = r#"[rejects.kafka]
topic = "NAME-rejected""#;
const REJECTS_IN_DOCUMENTS: &str = r#"[rejects.mongodb]
uri = "${MONGODB_URI:-mongodb://localhost:27017}"
database = "millrace_chaos"
collection = "NAME-rejected""#;

/// What is another from seed to seed.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub documents_of: DocumentsOf,
    pub rejects_are_documents: bool,
    is_classic: bool,
}

impl Variant {
    pub fn of(seed: u64) -> Variant {
        let is = |bit: u64| seed & bit != 0;
        let documents_of = match (is(1), is(8)) {
            (false, _) => DocumentsOf::Rows,
            (true, false) => DocumentsOf::FirstRows,
            (true, true) => DocumentsOf::LastRows,
        };
        Variant { documents_of, rejects_are_documents: is(2), is_classic: is(4) }
    }
}

pub struct Pipeline {
    name: String,
    pub file: PathBuf,
    pub variant: Variant,
    factor: i64,
}

impl Pipeline {
    pub fn new(name: &str, file: PathBuf, variant: Variant) -> Pipeline {
        Pipeline { name: name.to_owned(), file, variant, factor: FIRST_FACTOR }
    }

    pub fn topic(&self, role: &str) -> String {
        format!("{}-{role}", self.name)
    }

    /// With its database.
    pub fn collection(&self) -> String {
        format!("millrace_chaos.{}", self.name)
    }

    /// That of the rejects, where they are documents.
    pub fn rejects(&self) -> String {
        format!("{}-rejected", self.collection())
    }

    pub fn directory(&self) -> String {
        format!("/millrace-chaos/{}", self.name)
    }

    /// Every row has another answer from here on.
    pub fn redeploy(&mut self) {
        self.factor += 1;
    }

    pub fn deployed(&self) -> BTreeSet<i64> {
        (FIRST_FACTOR..=self.factor).collect()
    }

    pub fn write(&self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let Variant { documents_of, rejects_are_documents, is_classic } = self.variant;
        let write = match documents_of {
            DocumentsOf::Rows => "",
            DocumentsOf::FirstRows => "write = \"key\"\nkey = \"id\"",
            DocumentsOf::LastRows => "write = \"replace\"\nkey = \"id\"",
        };
        let text = include_str!("pipeline.toml")
            .replace("WRITE", write)
            .replace("REJECTS", if rejects_are_documents { REJECTS_IN_DOCUMENTS } else { REJECTS_IN_A_TOPIC })
            .replace("NAME", &self.name)
            .replace("ROOT", &root.display().to_string())
            .replace("FACTOR", &self.factor.to_string())
            .replace("PROTOCOL", if is_classic { "classic" } else { "consumer" });
        fs::write(&self.file, text).unwrap();
    }
}
