//! The pipeline that is put to the test: small batches, transactions and files, so that there are many moments.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FIRST_FACTOR: i64 = 2;

pub struct Pipeline {
    name: String,
    pub file: PathBuf,
    factor: i64,
    group_protocol: &'static str,
}

impl Pipeline {
    pub fn new(name: &str, file: PathBuf) -> Pipeline {
        Pipeline { name: name.to_owned(), file, factor: FIRST_FACTOR, group_protocol: "consumer" }
    }

    pub fn topic(&self, role: &str) -> String {
        format!("{}-{role}", self.name)
    }

    /// With its database.
    pub fn collection(&self) -> String {
        format!("millrace_chaos.{}", self.name)
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
        let text = include_str!("pipeline.toml")
            .replace("NAME", &self.name)
            .replace("ROOT", &root.display().to_string())
            .replace("FACTOR", &self.factor.to_string())
            .replace("PROTOCOL", self.group_protocol);
        fs::write(&self.file, text).unwrap();
    }
}
