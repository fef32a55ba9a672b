//! A folder in the place of all services.

use std::collections::BTreeSet;
use std::path::Path;

use millrace_embedded::Folder;

use super::{Finding, disk};
use crate::plan::Plan;
use crate::topics;

pub fn look(plan: &Plan, path: &Path, create: bool, findings: &mut Vec<Finding>) {
    findings.push(disk::folder("folder", path));
    let wanted = topics::all(plan);
    if create && let Err(cause) = topics::make_in(path, &wanted) {
        findings.push(Finding::wrong("topics", cause.to_string(), "see the line about the folder"));
        return;
    }
    let there = match is_there(path) {
        Ok(there) => there,
        Err(cause) => {
            findings.push(Finding::wrong(
                "topics",
                cause.to_string(),
                "look at the folder's file, or use another folder",
            ));
            return;
        }
    };
    let roles = topics::roles(plan);
    findings.extend(roles.into_iter().map(|(topic, role)| {
        let what = format!("topic {topic}");
        match there.contains(topic) {
            true => Finding::good(what, format!("of the {role}")),
            false => Finding::good(what, format!("of the {role}; not there yet, a start makes it")),
        }
    }));
}

/// A folder that is not there is not made.
fn is_there(path: &Path) -> millrace_embedded::Result<BTreeSet<String>> {
    if !Folder::is_one(path) {
        return Ok(BTreeSet::new());
    }
    let folder = Folder::look(path)?;
    folder.check()?;
    folder.topics().map(|topics| topics.into_iter().collect())
}
