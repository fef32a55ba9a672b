//! Disks that take no more: what was acknowledged stays, it is said what to do, and with room the pipeline goes on.
//!
//! Nothing is mocked: a small disk of its own that is full, and a limit on the size of files, which SQLite and the
//! program meet as they meet a quota. And the folder's own bound: nobody who reads makes it grow.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Instant;

use crate::embedded::Bed;
use crate::flights::flights;
use crate::mount::{Disk, where_mounting_is_allowed};
use crate::process::{PATIENCE, Process};

const ADVICE: &str = "make room on the disk";

/// A pipeline that stands still while requests come and its disk fills, to the last byte. Answers the requests that
/// were acknowledged.
fn fill_under(bed: &Bed, disk: &Disk, process: &mut Process) -> BTreeSet<String> {
    let (first, mut ids) = flights(1, "first");
    bed.produce(&first);
    bed.await_rows(1, process);
    let (waiting, more) = flights(4000, "waiting");
    bed.produce_while_it_stands(&waiting, process);
    ids.extend(more);
    disk.fill();
    // some may still fit where there was room in the file
    for count in 0.. {
        let (messages, more) = flights(200, &format!("n{count}"));
        if let Err(said) = bed.try_produce(&messages) {
            assert!(said.contains(ADVICE), "{said}");
            break;
        }
        ids.extend(more);
    }
    process.signal("CONT");
    ids
}

#[test]
fn a_full_disk_loses_nothing_and_with_room_it_goes_on() {
    where_mounting_is_allowed("disk::a_full_disk_loses_nothing_and_with_room_it_goes_on", || {
        let mut bed = Bed::new("full");
        let disk = Disk::new(&bed.folder.join("disk"), "64m");
        bed.data = disk.path().join("data");
        bed.toml = bed.toml.replace("roll_seconds_max = 60", "roll_seconds_max = 1");
        let mut process = bed.start(&[]);
        let ids = fill_under(&bed, &disk, &mut process);
        process.await_word(ADVICE);
        process.must_run();
        disk.make_room();
        bed.await_rows(ids.len(), &mut process);
        bed.await_stored(ids.len(), &mut process);
        process.drain();
        bed.assert_exactly_once(&ids);
    });
}

/// The same without a directory, whose files would be the first to find no room.
#[test]
fn a_database_that_finds_no_room_goes_on_too() {
    where_mounting_is_allowed("disk::a_database_that_finds_no_room_goes_on_too", || {
        let mut bed = Bed::new("full-database");
        let disk = Disk::new(&bed.folder.join("disk"), "64m");
        bed.data = disk.path().join("data");
        let (archive, rejects) = (bed.toml.find("[sinks.archive").unwrap(), bed.toml.find("[rejects").unwrap());
        bed.toml.replace_range(archive..rejects, "");
        let mut process = bed.start(&[]);
        let ids = fill_under(&bed, &disk, &mut process);
        process.await_word("database or disk is full");
        process.must_run();
        disk.make_room();
        bed.await_rows(ids.len(), &mut process);
        // the documents' sink tries again by itself
        let deadline = Instant::now() + PATIENCE;
        while bed.documents().len() < ids.len() {
            process.must_run();
            assert!(Instant::now() < deadline, "said:\n{}", process.said());
        }
        process.drain();
        for rows in [bed.consume("flight-delay-ml-response"), bed.documents()] {
            let mut answered: Vec<_> = rows.iter().map(|row| row["UUID"].as_str().unwrap()).collect();
            answered.sort_unstable();
            assert!(answered.iter().eq(&ids), "{} rows of {}", answered.len(), ids.len());
        }
    });
}

#[test]
fn on_a_full_disk_it_does_not_begin_and_says_so() {
    where_mounting_is_allowed("disk::on_a_full_disk_it_does_not_begin_and_says_so", || {
        let mut bed = Bed::new("full-start");
        let disk = Disk::new(&bed.folder.join("disk"), "64m");
        bed.data = disk.path().join("data");
        disk.fill();
        let (code, said) = bed.start(&[]).wait();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(ADVICE) && said.contains(&bed.data.display().to_string()), "{said}");
        let said = bed.try_produce(&flights(1, "p").0).unwrap_err();
        assert!(said.contains(ADVICE), "{said}");
        disk.make_room();
        let (messages, ids) = flights(20, "then");
        bed.produce(&messages);
        let mut process = bed.start(&[]);
        bed.await_rows(ids.len(), &mut process);
        process.drain();
        bed.assert_exactly_once(&ids);
    });
}

/// Every file of the process may have so many bytes; the user raises that while it runs.
#[test]
fn a_limit_on_files_is_as_a_full_disk() {
    const BYTES_MAX: &str = "100000";
    let mut bed = Bed::new("limited");
    bed.toml = bed.toml.replace("roll_seconds_max = 60", "roll_seconds_max = 1");
    let (messages, mut ids) = flights(20, "before");
    bed.produce(&messages);
    let mut process = bed.start(&[]);
    bed.await_rows(ids.len(), &mut process);
    process.drain();
    let (messages, more) = flights(3000, "limited");
    bed.produce(&messages);
    ids.extend(more);
    let mut process = limited(bed.run(&[]), BYTES_MAX);
    process.await_word(ADVICE);
    process.must_run();
    let id = process.id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited"]).status().unwrap();
    assert!(raised.success());
    bed.await_rows(ids.len(), &mut process);
    bed.await_stored(ids.len(), &mut process);
    process.drain();
    bed.assert_exactly_once(&ids);
}

/// Under a soft limit; without the signal that ends a process at it, so that it meets the error of a quota.
fn limited(command: Command, bytes_max: &str) -> Process {
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--fsize={bytes_max}:unlimited")).args(["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    limited.arg(command.get_program()).args(command.get_args());
    Process::start(limited)
}

/// One that follows a topic, and one whose output nobody reads any more, while much more is written than the file of
/// changes may have.
#[test]
fn nobody_who_follows_makes_the_file_of_changes_grow() {
    /// What makes a writer write it back at once, and one transaction of `produce` on top.
    const CHANGES_BYTES_MAX: u64 = 20 << 20;
    const ROUNDS: usize = 40;
    let bed = Bed::new("followers");
    let line = vec![b'"'; 1].into_iter().chain(vec![b'x'; 1500]).chain([b'"']).collect::<Vec<u8>>();
    bed.produce(&vec![line.clone(); 100]);
    let follow = || {
        let mut follow = Command::new(env!("CARGO_BIN_EXE_millrace"));
        follow.args(["consume", "flight-delay-ml-request", "--follow", "--embedded"]).arg(&bed.data);
        follow
    };
    let stalled = Kept(follow().stdout(Stdio::piped()).spawn().unwrap());
    let mut reads = Kept(follow().stdout(Stdio::piped()).spawn().unwrap());
    let (sender, lines) = channel();
    let output = BufReader::new(reads.0.stdout.take().unwrap());
    std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
    let mut written = 0;
    for _ in 0..ROUNDS {
        bed.produce(&vec![line.clone(); 1000]);
        written += 1000 * line.len() as u64;
        // it has read them all, and waits
        (0..1000).for_each(|_| drop(lines.recv_timeout(PATIENCE).expect("it does not follow")));
        let changes = fs::metadata(bed.data.join("millrace.sqlite-wal")).unwrap().len();
        assert!(changes <= CHANGES_BYTES_MAX, "{changes} bytes after {written} were written");
    }
    assert!(written > 2 * CHANGES_BYTES_MAX);
    drop(stalled);
}

/// Ended with its test.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
