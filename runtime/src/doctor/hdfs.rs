//! An HDFS sink: does the NameNode answer, is the directory there, and may this user create files in it?
//!
//! Rights are worked out from owners and modes, as the NameNode itself does; the superuser is who owns `/`. Whose groups
//! and ACLs decide is not known from outside. Of whom a ticket names not even the name is: the NameNode is asked to delete
//! what is not there, for which it looks at the right first.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use hdfs_native::client::FileStatus;

use super::Finding;
use crate::error::Error;
use crate::plan::HdfsPlan;
use crate::sink::hdfs::{FileError, Files, NameNode};

const WRITE_AND_ENTER: u16 = 0o3;

pub async fn look(what: &str, plan: &HdfsPlan, timeout: Duration, findings: &mut Vec<Finding>) {
    let directory = format!("{what}, directory");
    let name_node = match NameNode::new(plan, timeout) {
        Ok(name_node) => name_node,
        Err(error) => {
            return findings.push(Finding::wrong(what, error.to_string(), "name the user in the sink's `user`"));
        }
    };
    let root = match name_node.status("/").await {
        Ok(root) => root,
        Err(error) => {
            findings.push(no_answer(what, &plan.uri, error));
            return findings.push(Finding::unknown(directory, format!("{} does not answer", plan.uri)));
        }
    };
    let user = name_node.user(system_user);
    let who = user.as_ref().map_or("as Hadoop's settings say, or the ticket".into(), |user| format!("as user {user}"));
    findings.push(Finding::good(what, format!("NameNode at {}, {who}", plan.uri)));
    findings.push(match (nearest(&name_node, &plan.directory).await, user) {
        (Ok((path, found)), Some(user)) => judge(directory, &plan.directory, path, &found, &user, &root),
        (Ok((path, found)), None) => ask(directory, &plan.directory, path, &found, &name_node).await,
        (Err(error), _) => Finding::unknown(directory, error.to_string()),
    });
}

fn no_answer(what: &str, uri: &str, error: FileError) -> Finding {
    match error {
        FileError::Stranger { what: failed, why, fix } => Finding::wrong(what, format!("{failed}: {why}"), fix),
        error => Finding::wrong(what, Error::from(error).to_string(), away(uri)),
    }
}

fn away(uri: &str) -> String {
    format!(
        "is the address right, does a NameNode run at {uri} (not in standby), may this host reach it, and is it told who \
         this is as it wants (docs/security.md)?"
    )
}

/// The directory, or the deepest one above it that is there.
async fn nearest<'p>(name_node: &NameNode, directory: &'p str) -> Result<(&'p str, FileStatus), Error> {
    let mut path = directory;
    loop {
        match name_node.status(path).await {
            Ok(found) => return Ok((path, found)),
            Err(FileError::Missing(_)) if path != "/" => {
                path = path.rsplit_once('/').map_or("/", |(above, _)| if above.is_empty() { "/" } else { above });
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Of a user whose name is not known.
async fn ask(what: String, directory: &str, path: &str, found: &FileStatus, name_node: &NameNode) -> Finding {
    if !found.isdir {
        return a_file(what, path);
    }
    let nothing = format!("{}/.millrace-doctor-{}", path.trim_end_matches('/'), uuid::Uuid::new_v4());
    match name_node.delete(&nothing).await.map_err(Error::from) {
        Ok(()) => Finding::good(what, described(directory, path, found)),
        Err(error) if error.to_string().contains("Permission denied") => {
            let fix = format!("`hdfs dfs -mkdir -p {directory} && hdfs dfs -chown USER {directory}` as the superuser");
            Finding::wrong(what, error.to_string(), fix)
        }
        Err(error) => Finding::unknown(what, error.to_string()),
    }
}

fn a_file(what: String, path: &str) -> Finding {
    Finding::wrong(what, format!("{path} is a file"), format!("move {path} away, or name another directory"))
}

fn described(directory: &str, path: &str, found: &FileStatus) -> String {
    let FileStatus { owner, group, permission, .. } = found;
    let of = format!("{path} is {owner}'s, of group {group}, mode {:o}", permission & 0o1777);
    if path == directory { of } else { format!("{directory} is to be made: {of}") }
}

fn judge(what: String, directory: &str, path: &str, found: &FileStatus, user: &str, root: &FileStatus) -> Finding {
    if !found.isdir {
        return a_file(what, path);
    }
    let said = described(directory, path, found);
    match may_write(found, user, root) {
        Some(true) => Finding::good(what, said),
        None => Finding::odd(
            what,
            format!("{said}; whether {user} is in that group is not known from here"),
            format!("see that `hdfs groups {user}` has {}", found.group),
        ),
        Some(false) => {
            let fix =
                format!("`hdfs dfs -mkdir -p {directory} && hdfs dfs -chown {user} {directory}` as the superuser");
            Finding::wrong(what, format!("{said}; {user} may not create in it"), fix)
        }
    }
}

/// None: his groups decide.
fn may_write(found: &FileStatus, user: &str, root: &FileStatus) -> Option<bool> {
    let has = |shift: u16| (found.permission >> shift) & WRITE_AND_ENTER == WRITE_AND_ENTER;
    match () {
        () if user == root.owner => Some(true),
        () if user == found.owner => Some(has(6)),
        () if has(0) && has(3) => Some(true),
        () if !has(0) && !has(3) => Some(false),
        () => None,
    }
}

/// Whom the client takes where nobody is named.
fn system_user() -> String {
    let id = std::fs::metadata("/proc/self").map_or(0, |process| process.uid()).to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let own = lines.find(|fields| fields.get(2) == Some(&id.as_str()));
    own.and_then(|fields| fields.first().map(|name| (*name).to_owned())).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(owner: &str, permission: u16) -> FileStatus {
        FileStatus {
            path: "/d".into(),
            length: 0,
            isdir: true,
            permission,
            owner: owner.into(),
            group: "g".into(),
            modification_time: 0,
            access_time: 0,
            replication: None,
            blocksize: None,
        }
    }

    #[test]
    fn rights_are_those_of_the_owner_the_group_and_the_others() {
        let root = folder("hdfs", 0o755);
        for (owner, mode, may) in [
            ("me", 0o700, Some(true)),
            ("me", 0o577, Some(false)),
            ("you", 0o755, Some(false)),
            ("you", 0o777, Some(true)),
            ("you", 0o770, None),
            ("you", 0o707, None),
        ] {
            assert_eq!(may_write(&folder(owner, mode), "me", &root), may, "{owner} {mode:o}");
        }
        assert_eq!(may_write(&folder("you", 0o700), "hdfs", &root), Some(true), "the superuser");
    }
}
