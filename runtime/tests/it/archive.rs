//! The directory of files under a pipeline that runs: moved away, deleted for good, or not to be written to. Its sink waits
//! and says what is wrong, the others go on, and nothing is written a second time in silence.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::embedded::Bed;
use crate::flights::flights;
use crate::flow::{Rig, free_address};
use crate::inside::stand::Stand;
use crate::mount::{Disk, where_mounting_is_allowed};
use crate::process::{PATIENCE, Process};

const GONE: &str = "is gone: it was moved or deleted while the pipeline ran";

/// A pipeline whose files roll by the second, and its status.
struct Archive {
    stand: Stand,
    listen: String,
    ids: BTreeSet<String>,
}

impl Archive {
    fn new(mut stand: Stand) -> Archive {
        stand.edit("roll_seconds_max = 60", "roll_seconds_max = 1");
        Archive { stand, listen: free_address(), ids: BTreeSet::new() }
    }

    fn start(&self) -> Process {
        self.stand.start_with(&["--listen", &self.listen])
    }

    fn request(&mut self, prefix: &str) {
        let (messages, ids) = flights(200, prefix);
        self.stand.produce(&messages);
        self.ids.extend(ids);
    }

    fn await_stored(&self, process: &mut Process) {
        self.stand.await_stored(self.ids.len(), process);
    }

    fn sink(&self, name: &str) -> Value {
        let asked =
            Command::new(env!("CARGO_BIN_EXE_millrace")).args(["status", "--at", &self.listen]).output().unwrap();
        let status: Value = serde_json::from_slice(&asked.stdout).unwrap_or(Value::Null);
        status["sinks"][name]["workers"]["0"].clone()
    }

    fn await_sink(&self, name: &str, state: &str, why: &str, process: &mut Process) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sink = self.sink(name);
            if sink["state"] == state && sink["why"].as_str().unwrap_or_default().contains(why) {
                return;
            }
            process.must_run();
            assert!(Instant::now() < deadline, "{name} is {sink}, not {state}; said:\n{}", process.said());
        }
    }

    /// Down for this reason, while the others go on; with the reason gone, in step again, and all is there once.
    fn waits_for_it_to_be_mended(mut self, process: &mut Process, why: &str, mend: impl FnOnce(&Stand)) {
        self.request("meanwhile");
        self.stand.await_responses(self.ids.len(), process);
        self.await_sink("archive", "down", why, process);
        self.await_sink("store", "in_step", "", process);
        mend(&self.stand);
        self.request("after");
        self.await_stored(process);
        self.await_sink("archive", "in_step", "", process);
        process.drain();
        match &self.stand {
            Stand::Services(rig) => rig.assert_exactly_once(&self.ids),
            Stand::Embedded(bed) => bed.assert_exactly_once(&self.ids),
        }
    }
}

fn waits_for_a_directory_that_was_moved_away(stand: Stand, rename: impl Fn(&Stand, bool)) {
    let mut archive = Archive::new(stand);
    archive.request("before");
    let mut process = archive.start();
    archive.await_stored(&mut process);
    rename(&archive.stand, true);
    archive.waits_for_it_to_be_mended(&mut process, GONE, |stand| rename(stand, false));
}

fn bed(stand: &Stand) -> &Bed {
    let Stand::Embedded(bed) = stand else { panic!("it is on a folder") };
    bed
}

fn rig(stand: &Stand) -> &Rig {
    let Stand::Services(rig) = stand else { panic!("it is on services") };
    rig
}

/// Away, or back to where nothing may be.
fn rename_on_disk(stand: &Stand, away: bool) {
    let here = bed(stand).data.join("hdfs/user/flight_predictions");
    let there = bed(stand).folder.join("away");
    let (from, to) = if away { (here, there) } else { (there, here) };
    assert!(!to.exists(), "{} was made anew", to.display());
    fs::rename(from, to).unwrap();
}

#[test]
fn a_directory_on_a_disk_that_was_moved_away_is_waited_for() {
    waits_for_a_directory_that_was_moved_away(Stand::embedded("moved-away"), rename_on_disk);
}

#[test]
fn a_directory_on_hdfs_that_was_moved_away_is_waited_for() {
    waits_for_a_directory_that_was_moved_away(Stand::services("moved-away"), |stand, away| {
        let here = rig(stand).directory();
        let there = format!("{here}-away");
        let (from, to) = if away { (here, there) } else { (there, here) };
        rig(stand).on_hdfs(async |client| client.rename(&from, &to, false).await).unwrap();
    });
}

/// Nobody can know then whether the sink is a new one: it begins where `start` says, and says so.
#[test]
fn over_a_directory_that_is_gone_a_new_start_begins_and_says_so() {
    let mut archive = Archive::new(Stand::embedded("gone"));
    archive.request("before");
    let mut process = archive.start();
    archive.await_stored(&mut process);
    process.drain();
    rename_on_disk(&archive.stand, true);
    archive.request("after");
    let mut process = archive.start();
    process.await_word("sink has no position yet, and nothing that it wrote: it begins here sink=archive");
    archive.await_stored(&mut process);
    process.drain();
    bed(&archive.stand).assert_exactly_once(&archive.ids);
}

#[test]
fn a_directory_whose_disk_is_mounted_read_only_is_waited_for() {
    where_mounting_is_allowed("archive::a_directory_whose_disk_is_mounted_read_only_is_waited_for", || {
        let mut archive = Archive::new(Stand::embedded("read-only-archive"));
        let disk = Disk::new(&bed(&archive.stand).data.join("hdfs"), "64m");
        archive.request("before");
        let mut process = archive.start();
        archive.await_stored(&mut process);
        disk.make_read_only();
        archive.waits_for_it_to_be_mended(&mut process, "the folder must be writable", |_| disk.remount("rw"));
    });
}

#[test]
fn a_directory_on_hdfs_that_may_not_be_written_to_is_waited_for() {
    const USER: &str = "miller";
    const OWNER_READS: u32 = 0o555;
    const OWNER_WRITES: u32 = 0o755;
    let mut archive = Archive::new(Stand::services("rights"));
    archive.stand.edit("[sinks.archive.hdfs]", &format!("[sinks.archive.hdfs]\nuser = \"{USER}\""));
    let directory = rig(&archive.stand).directory();
    let may = |stand: &Stand, permission| {
        rig(stand).on_hdfs(async |client| client.set_permission(&directory, permission).await).unwrap();
    };
    // it belongs to somebody else
    archive.request("before");
    let mut process = archive.start();
    archive.await_sink("archive", "down", "AccessControlException", &mut process);
    rig(&archive.stand)
        .on_hdfs(async |client| {
            client.mkdirs(&directory, OWNER_WRITES, true).await?;
            client.set_owner(&directory, Some(USER), None).await
        })
        .unwrap();
    archive.await_stored(&mut process);
    may(&archive.stand, OWNER_READS);
    archive.waits_for_it_to_be_mended(&mut process, "AccessControlException", |stand| may(stand, OWNER_WRITES));
}
