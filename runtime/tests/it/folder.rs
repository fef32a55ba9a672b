//! Folders and ports that cannot be used: each is said with what to do about it, and nothing in them is lost.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use millrace_embedded::Folder;

use crate::embedded::Bed;
use crate::flights::flights;
use crate::mount::{Disk, where_mounting_is_allowed};
use crate::process::{PATIENCE, Process};

/// `run`, and the commands that look at topics: one word from all of them.
fn assert_all_say(bed: &Bed, words: &[&str]) {
    let (code, said) = bed.start(&[]).wait();
    assert_eq!(code, Some(1), "{said}");
    let produced = bed.try_produce(&flights(1, "p").0).unwrap_err();
    let consumed = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["consume", "flight-delay-ml-request", "--embedded"])
        .arg(&bed.data)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(consumed.status.code(), Some(1));
    for said in [said, produced, String::from_utf8(consumed.stderr).unwrap()] {
        assert!(said.contains("error: "), "{said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in: {said}"));
    }
}

fn database(bed: &Bed) -> PathBuf {
    bed.data.join("millrace.sqlite")
}

/// A folder where a pipeline answered some flights, and others wait: nobody has it open.
fn used(test: &str) -> (Bed, BTreeSet<String>) {
    let mut bed = Bed::new(test);
    bed.toml = bed.toml.replace("roll_seconds_max = 60", "roll_seconds_max = 1");
    let (messages, mut ids) = flights(200, "answered");
    bed.produce(&messages);
    let mut process = bed.start(&[]);
    bed.await_rows(ids.len(), &mut process);
    bed.await_stored(ids.len(), &mut process);
    process.drain();
    let (messages, more) = flights(2000, "waiting");
    bed.produce(&messages);
    ids.extend(more);
    // whoever closes it last leaves all in one file
    drop(Folder::open(&bed.data).unwrap());
    assert!(!bed.data.join("millrace.sqlite-wal").exists());
    (bed, ids)
}

/// All that is there is answered, once.
fn assert_goes_on(bed: &Bed, ids: &BTreeSet<String>) {
    let mut process = bed.start(&[]);
    bed.await_rows(ids.len(), &mut process);
    bed.await_stored(ids.len(), &mut process);
    process.drain();
    bed.assert_exactly_once(ids);
}

fn copy(from: &Path, to: &Path) {
    drop(fs::remove_dir_all(to));
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// The user breaks the file, is told so, puts a copy of the folder back, and nothing is lost.
fn assert_damage_is_said(test: &str, damage: impl Fn(&mut Vec<u8>)) {
    let (bed, ids) = used(test);
    let kept = bed.folder.join("kept");
    copy(&bed.data, &kept);
    let mut bytes = fs::read(database(&bed)).unwrap();
    damage(&mut bytes);
    fs::write(database(&bed), &bytes).unwrap();
    let (code, said) = bed.start(&[]).wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&database(&bed).display().to_string()), "{said}");
    assert!(said.contains("put a copy of the folder back"), "{said}");
    assert!(!said.contains("not running"), "it tried again: {said}");
    assert_doctor_says(&bed, "put a copy of the folder back");
    copy(&kept, &bed.data);
    assert_goes_on(&bed, &ids);
}

fn assert_doctor_says(bed: &Bed, words: &str) {
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_millrace"));
    let doctor = doctor.arg("doctor").arg(&bed.file).arg("--embedded").arg(&bed.data).output().unwrap();
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!(doctor.status.code(), Some(1), "{said}");
    assert!(said.contains(words) && said.contains(&database(bed).display().to_string()), "{said}");
}

#[test]
fn a_database_that_was_overwritten_in_the_middle() {
    assert_damage_is_said("overwritten", |bytes| {
        let (quarter, length) = (bytes.len() / 4, bytes.len() / 2);
        bytes[quarter..quarter + length].fill(0xa5);
    });
}

#[test]
fn a_database_that_was_cut_off() {
    assert_damage_is_said("cut", |bytes| bytes.truncate(bytes.len() / 2 + 100));
}

#[test]
fn a_database_that_was_emptied_is_not_taken_for_a_new_one() {
    assert_damage_is_said("emptied", Vec::clear);
}

#[test]
fn a_database_whose_beginning_is_gone() {
    assert_damage_is_said("beheaded", |bytes| bytes[..4096].fill(0));
}

/// Of a page that nothing reads at a start: the pipeline may run for long before it meets it.
#[test]
fn a_database_with_one_damaged_page_is_told_by_the_doctor() {
    let (bed, _) = used("one-page");
    let mut bytes = fs::read(database(&bed)).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    fs::write(database(&bed), &bytes).unwrap();
    assert_doctor_says(&bed, "the file is damaged");
}

/// SQLite goes on writing to a file without a name, which is gone with the process.
#[test]
fn a_database_that_is_moved_while_a_pipeline_runs_stops_it() {
    let (bed, ids) = used("moved");
    let mut process = bed.start(&[]);
    bed.await_rows(ids.len(), &mut process);
    bed.await_stored(ids.len(), &mut process);
    let aside = bed.folder.join("aside");
    fs::rename(&bed.data, &aside).unwrap();
    let (code, said) = process.wait();
    assert_eq!(code, Some(1), "{said}");
    let words = [&database(&bed).display().to_string(), "was moved, deleted or replaced", "put it back"];
    words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in: {said}"));
    drop(fs::remove_dir_all(&bed.data));
    fs::rename(&aside, &bed.data).unwrap();
    bed.produce(&flights(100, "after").0);
    let ids = ids.into_iter().chain(flights(100, "after").1).collect();
    assert_goes_on(&bed, &ids);
}

#[test]
fn a_file_that_is_no_database() {
    let bed = Bed::new("strange");
    fs::create_dir_all(&bed.data).unwrap();
    let letter = "Dear diary, this is a letter and no database. ".repeat(100);
    fs::write(database(&bed), &letter).unwrap();
    assert_all_say(&bed, &[&database(&bed).display().to_string(), "is damaged", "move the folder away"]);
    assert_eq!(fs::read_to_string(database(&bed)).unwrap(), letter, "somebody else's file");
}

#[test]
fn a_folder_of_a_newer_version() {
    /// Where SQLite's file has `user_version`, big-endian.
    const VERSION: std::ops::Range<usize> = 60..64;
    let (bed, ids) = used("newer");
    let bytes = fs::read(database(&bed)).unwrap();
    let mut newer = bytes.clone();
    newer[VERSION].copy_from_slice(&7_u32.to_be_bytes());
    fs::write(database(&bed), &newer).unwrap();
    let file = database(&bed).display().to_string();
    assert_all_say(&bed, &[&file, "is of version 7", "use the millrace that wrote it"]);
    assert!(fs::read(database(&bed)).unwrap() == newer, "it was changed");
    fs::write(database(&bed), &bytes).unwrap();
    assert_goes_on(&bed, &ids);
}

#[test]
fn a_folder_below_a_file() {
    let mut bed = Bed::new("below");
    let file = bed.folder.join("file");
    fs::write(&file, "a file").unwrap();
    bed.data = file.join("data");
    let (code, said) = bed.start(&[]).wait();
    assert_eq!(code, Some(1), "{said}");
    for word in [&*bed.data.display().to_string(), "a file is in the way: choose another folder"] {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    let said = bed.try_produce(&flights(1, "p").0).unwrap_err();
    assert!(said.contains("a file is in the way"), "{said}");
}

/// Also for root, whom the rights of a folder do not stop.
#[test]
fn a_folder_on_a_disk_that_is_read_only() {
    where_mounting_is_allowed("folder::a_folder_on_a_disk_that_is_read_only", || {
        let mut bed = Bed::new("read-only");
        let disk = Disk::new(&bed.folder.join("disk"), "64m");
        bed.data = disk.path().join("data");
        let (messages, mut ids) = flights(50, "before");
        bed.produce(&messages);
        let mut process = bed.start(&[]);
        bed.await_rows(ids.len(), &mut process);
        process.drain();
        disk.remount("ro");
        let new = Bed {
            data: disk.path().join("new"),
            folder: bed.folder.clone(),
            file: bed.file.clone(),
            toml: bed.toml.clone(),
        };
        for bed in [&bed, &new] {
            let (code, said) = bed.start(&[]).wait();
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains(&bed.data.display().to_string()), "{said}");
            assert!(said.contains("the folder must be writable"), "{said}");
            let said = bed.try_produce(&flights(1, "p").0).unwrap_err();
            assert!(said.contains("the folder must be writable"), "{said}");
        }
        disk.remount("rw");
        let (messages, more) = flights(50, "after");
        bed.produce(&messages);
        ids.extend(more);
        let mut process = bed.start(&[]);
        bed.await_rows(ids.len(), &mut process);
        process.drain();
        bed.assert_exactly_once(&ids);
    });
}

/// As for somebody who may read the folder and not write to it: beside a pipeline that runs on it, and without one.
#[test]
fn who_may_only_read_a_folder_reads_it() {
    where_mounting_is_allowed("folder::who_may_only_read_a_folder_reads_it", || {
        let mut bed = Bed::new("only-read");
        let disk = Disk::new(&bed.folder.join("disk"), "64m");
        // SQLite takes these for letters of its own
        bed.data = disk.path().join("data 50%?#");
        let theirs = disk.only_to_read(&bed.folder.join("theirs")).path().join("data 50%?#");
        let consume = |options: &[&str]| {
            let mut consume = Command::new(env!("CARGO_BIN_EXE_millrace"));
            consume.args(["consume", "flight-delay-ml-response", "--embedded"]).arg(&theirs).args(options);
            consume
        };
        let assert_reads = |rows: usize| {
            let read = consume(&[]).output().unwrap();
            assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
            assert_eq!(String::from_utf8(read.stdout).unwrap().lines().count(), rows);
        };
        bed.produce(&flights(50, "before").0);
        let mut process = bed.start(&[]);
        bed.await_rows(50, &mut process);
        assert_reads(50);
        process.drain();
        drop(Folder::open(&bed.data).unwrap());
        assert!(!bed.data.join("millrace.sqlite-wal").exists());
        assert_reads(50);
        for looks in [["positions", "show"].as_slice(), &["explain"], &["rejects", "show"]] {
            let mut look = Command::new(env!("CARGO_BIN_EXE_millrace"));
            look.args(looks).arg(&bed.file).arg("--embedded").arg(&theirs);
            let looked = if looks == ["explain"] { look.arg("before-000007") } else { &mut look }.output().unwrap();
            assert!(looked.status.success(), "{looks:?}: {}", String::from_utf8_lossy(&looked.stderr));
        }

        let mut follows = consume(&["--follow"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(follows.stdout.take().unwrap()).lines();
        (0..50).for_each(|_| drop(lines.next().unwrap().unwrap()));
        bed.produce(&flights(50, "after").0);
        let mut process = bed.start(&[]);
        bed.await_rows(100, &mut process);
        let deadline = Instant::now() + PATIENCE;
        while follows.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                follows.kill().unwrap();
            }
        }
        let ended = follows.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(said.contains("was opened by somebody who writes"), "{said}");
        assert_reads(100);
        process.drain();
    });
}

#[test]
fn a_port_in_use() {
    let bed = Bed::new("port");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = bed.start(&["--listen", &address]).wait();
    assert_eq!(code, Some(1), "{said}");
    let words =
        ["error: ", &format!("--listen {address}"), "in use", "choose another port, or stop what listens there"];
    words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in: {said}"));
    assert!(!bed.data.exists(), "it began before it knew");
}

#[test]
fn of_processes_that_begin_at_once_one_runs() {
    let bed = Bed::new("at-once");
    let (messages, ids) = flights(500, "o");
    bed.produce(&messages);
    let mut processes: Vec<Process> = (0..4).map(|_| bed.start(&[])).collect();
    let deadline = Instant::now() + PATIENCE;
    while processes.len() > 1 {
        assert!(Instant::now() < deadline, "{} of them run", processes.len());
        let mut running = Vec::new();
        for mut process in processes {
            if !process.has_ended() {
                running.push(process);
                continue;
            }
            let (code, said) = process.wait();
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("is held by another millrace (process "), "{said}");
            assert!(said.contains("stop it, or use another folder"), "{said}");
        }
        processes = running;
    }
    let mut process = processes.pop().expect("nobody runs");
    bed.await_rows(ids.len(), &mut process);
    process.drain();
    bed.assert_exactly_once(&ids);
}
