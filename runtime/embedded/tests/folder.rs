//! The folder as its users see it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_embedded::{Error, Extent, Folder, Hold, Offset, Position, Record};

fn fresh(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn record(value: &str) -> Record<'_> {
    Record { timestamp_ms: 7, key: None, value: Some(value.as_bytes()), headers: &[] }
}

fn fill(folder: &mut Folder, topic: &str, values: &[&str], rows_max: u64) {
    let mut transaction = folder.begin().unwrap();
    let topic = transaction.topic(topic, 1, rows_max).unwrap();
    transaction.append(&topic, 0, values.iter().map(|value| record(value))).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn messages_come_back_as_they_went_in() {
    let mut folder = Folder::open(&fresh("round")).unwrap();
    let headers = vec![("trace".to_owned(), b"\xff\x00".to_vec()), (String::new(), Vec::new())];
    let whole = Record { timestamp_ms: 42, key: Some(b"k"), value: Some(b"v"), headers: &headers };
    let mut transaction = folder.begin().unwrap();
    let topic = transaction.topic("t", 2, 10).unwrap();
    assert_eq!(transaction.append(&topic, 1, [whole, Record::default()]).unwrap(), 0);
    transaction.commit().unwrap();
    let read = folder.read(&topic, 1, 0, 10, 1000).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!((read[0].offset, read[0].timestamp_ms), (0, 42));
    assert_eq!((read[0].key.as_deref(), read[0].value.as_deref()), (Some(&b"k"[..]), Some(&b"v"[..])));
    assert_eq!(read[0].headers, headers);
    assert_eq!((read[1].offset, &read[1].key, &read[1].value), (1, &None, &None));
    assert_eq!(folder.read(&topic, 0, 0, 10, 1000).unwrap(), []);
    assert_eq!(folder.read(&topic, 1, 1, 10, 1000).unwrap().len(), 1);
    assert_eq!(folder.read(&topic, 1, 0, 10, 1).unwrap().len(), 1, "bytes bound what one call reads");
}

#[test]
fn a_transaction_that_was_not_committed_never_was() {
    let path = fresh("dropped");
    let mut folder = Folder::open(&path).unwrap();
    fill(&mut folder, "t", &["a"], 10);
    let topic = folder.topic("t").unwrap().unwrap();
    let mut transaction = folder.begin().unwrap();
    transaction.append(&topic, 0, [record("b")]).unwrap();
    transaction.insert_document("c", "1", "{}").unwrap();
    drop(transaction);
    assert_eq!(folder.extent(&topic, 0).unwrap(), Extent { first: 0, end: 1 });
    assert_eq!(folder.documents("c").unwrap(), []);
}

#[test]
fn a_partition_keeps_its_last_rows() {
    let mut folder = Folder::open(&fresh("retention")).unwrap();
    fill(&mut folder, "t", &["a", "b", "c", "d", "e"], 3);
    let topic = folder.topic("t").unwrap().unwrap();
    assert_eq!(folder.extent(&topic, 0).unwrap(), Extent { first: 2, end: 5 });
    let kept: Vec<_> = folder.read(&topic, 0, 0, 10, 1000).unwrap().iter().map(|message| message.offset).collect();
    assert_eq!(kept, [2, 3, 4]);
}

#[test]
fn a_topic_made_again_is_another() {
    let mut folder = Folder::open(&fresh("again")).unwrap();
    fill(&mut folder, "t", &["a"], 10);
    let first = folder.topic("t").unwrap().unwrap();
    let mut transaction = folder.begin().unwrap();
    transaction.delete_topic(&first).unwrap();
    let second = transaction.topic("t", 1, 10).unwrap();
    transaction.commit().unwrap();
    assert_ne!(first.uuid, second.uuid);
    assert_eq!(folder.extent(&second, 0).unwrap(), Extent { first: 0, end: 0 });
}

#[test]
fn a_writer_that_was_overtaken_moves_nothing() {
    let mut folder = Folder::open(&fresh("overtaken")).unwrap();
    fill(&mut folder, "t", &["a"], 10);
    let topic = folder.topic("t").unwrap().unwrap();
    let to = |next| Offset { next, metadata: "m".into() };
    let at = |next| Position { topic_uuid: topic.uuid.clone(), next };
    let mut transaction = folder.begin().unwrap();
    transaction.move_offset("g", &topic, 0, None, &to(3)).unwrap();
    transaction.move_position("s", "t", 0, None, &at(3)).unwrap();
    transaction.commit().unwrap();
    let mut zombie = folder.begin().unwrap();
    assert!(matches!(zombie.move_offset("g", &topic, 0, Some(2), &to(9)), Err(Error::Moved(_))));
    assert!(matches!(zombie.move_position("s", "t", 0, None, &at(9)), Err(Error::Moved(_))));
    zombie.move_offset("g", &topic, 0, Some(3), &to(4)).unwrap();
    assert_eq!(zombie.offset("g", &topic, 0).unwrap(), Some(to(4)));
}

#[test]
fn the_first_document_of_an_id_stays() {
    let mut folder = Folder::open(&fresh("documents")).unwrap();
    let mut transaction = folder.begin().unwrap();
    transaction.insert_document("c", "p/1", r#"{"UUID":"x"}"#).unwrap();
    transaction.insert_document("c", "p/1", r#"{"UUID":"y"}"#).unwrap();
    assert!(transaction.folder().has_document_with_prefix("c", "p/").unwrap());
    assert!(!transaction.folder().has_document_with_prefix("c", "q/").unwrap());
    transaction.commit().unwrap();
    assert_eq!(folder.find_document("c", "UUID", "x").unwrap().as_deref(), Some(r#"{"UUID":"x"}"#));
    assert_eq!(folder.find_document("c", "UUID", "y").unwrap(), None);
}

#[test]
fn a_second_process_is_refused_by_name() {
    let path = fresh("hold");
    let held = Hold::take(&path).unwrap();
    let said = Hold::take(&path).unwrap_err().to_string();
    assert!(said.contains(&std::process::id().to_string()), "{said}");
    drop(held);
    Hold::take(&path).unwrap();
}

#[test]
fn what_is_no_folder_of_ours_is_said() {
    let path = fresh("strange");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("millrace.sqlite"), "this is no database, and long enough to look like one").unwrap();
    let said = Folder::open(&path).err().unwrap().to_string();
    assert!(said.contains("damaged"), "{said}");
    std::fs::remove_file(path.join("millrace.sqlite")).unwrap();
    drop(Folder::open(&path).unwrap());
    let newer = rusqlite::Connection::open(path.join("millrace.sqlite")).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    let said = Folder::open(&path).err().unwrap().to_string();
    assert!(said.contains("version 99"), "{said}");
}

#[test]
fn a_reader_wakes_when_another_process_commits() {
    const FOLDER: &str = "MILLRACE_TEST_FOLDER";
    if let Some(path) = std::env::var_os(FOLDER) {
        fill(&mut Folder::open(&PathBuf::from(path)).unwrap(), "t", &["from afar"], 10);
        return;
    }
    let path = fresh("wake");
    let mut folder = Folder::open(&path).unwrap();
    fill(&mut folder, "t", &[], 10);
    let topic = folder.topic("t").unwrap().unwrap();
    let mut wake = folder.wake().unwrap();
    let this = std::env::current_exe().unwrap();
    let mut writer = Command::new(this)
        .args(["--exact", "a_reader_wakes_when_another_process_commits"])
        .env(FOLDER, &path)
        .spawn()
        .unwrap();
    // bounded only for a wake that is broken: it comes with the commit
    while folder.read(&topic, 0, 0, 1, 1000).unwrap().is_empty() {
        assert!(wake.wait(Duration::from_secs(60)), "nobody woke the reader");
    }
    assert!(writer.wait().unwrap().success());
}

#[test]
fn a_file_that_is_emptied_or_gone_is_not_made_anew() {
    let path = fresh("emptied");
    fill(&mut Folder::open(&path).unwrap(), "t", &["a"], 10);
    std::fs::write(path.join("millrace.sqlite"), "").unwrap();
    let said = Folder::open(&path).err().unwrap().to_string();
    assert!(said.contains("is empty, and was not"), "{said}");
    std::fs::remove_file(path.join("millrace.sqlite")).unwrap();
    for _ in 0..2 {
        let said = Folder::open(&path).err().unwrap().to_string();
        assert!(said.contains("is not there, and was"), "{said}");
    }
    // moved away by the user, who wants to begin anew
    std::fs::remove_dir_all(&path).unwrap();
    assert_eq!(Folder::open(&path).unwrap().topic("t").unwrap(), None);
}

#[test]
fn documents_between_two_ids_are_those_and_no_more_than_asked() {
    let mut folder = Folder::open(&fresh("between")).unwrap();
    let mut transaction = folder.begin().unwrap();
    for (collection, id) in [("c", "p/1"), ("c", "p/1/1"), ("c", "p/10"), ("c", "p/2"), ("d", "p/1")] {
        transaction.insert_document(collection, id, "{}").unwrap();
    }
    transaction.commit().unwrap();
    let ids = |rows_max| {
        let found = folder.documents_between("c", "p/1", "p/10", rows_max).unwrap();
        found.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(ids(10), ["p/1", "p/1/1"]);
    assert_eq!(ids(1), ["p/1"]);
}

/// What makes a writer write the changes back at once, and a transaction on top.
const CHANGES_BYTES_MAX: u64 = 20 << 20;

fn changes_bytes(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("millrace.sqlite-wal")).unwrap().len()
}

/// SQLite begins the file of changes anew only at a moment when nobody reads from it.
#[test]
fn readers_that_never_rest_leave_the_file_of_changes_its_bound() {
    let path = fresh("restless");
    let mut folder = Folder::open(&path).unwrap();
    let value = "x".repeat(1_000);
    fill(&mut folder, "t", &[&value], 1_000_000);
    let written = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let folder = Folder::open(&path).unwrap();
                let topic = folder.topic("t").unwrap().unwrap();
                while !written.load(Ordering::Acquire) {
                    let end = folder.extent(&topic, 0).unwrap().end;
                    folder.read(&topic, 0, end - 1_000, 1_000, 4 << 20).unwrap();
                }
            });
        }
        let mut most = 0;
        for _ in 0..500 {
            fill(&mut folder, "t", &[&*value; 100], 1_000_000);
            most = changes_bytes(&path).max(most);
        }
        written.store(true, Ordering::Release);
        most
    });
    assert!(most <= CHANGES_BYTES_MAX, "{most} bytes while 50 million were written");
}

#[test]
fn somebody_who_holds_a_transaction_open_stops_no_writer_and_leaves_nothing_behind() {
    let path = fresh("held");
    let mut folder = Folder::open(&path).unwrap();
    let value = "x".repeat(1_000_000);
    fill(&mut folder, "t", &[&value], 1_000_000);
    let shell = rusqlite::Connection::open(path.join("millrace.sqlite")).unwrap();
    shell.execute_batch("BEGIN; SELECT count(*) FROM messages").unwrap();
    (0..40).for_each(|_| fill(&mut folder, "t", &[&value], 1_000_000));
    assert!(changes_bytes(&path) > CHANGES_BYTES_MAX, "who reads an old state needs it");
    shell.execute_batch("COMMIT").unwrap();
    (0..20).for_each(|_| fill(&mut folder, "t", &[&value], 1_000_000));
    assert!(changes_bytes(&path) <= CHANGES_BYTES_MAX);
}

/// Readers look again and again: what lies before the end costs them nothing, however large it is.
#[test]
fn looking_beyond_the_end_reads_no_value() {
    let path = fresh("beyond");
    let large = "x".repeat(900_000);
    fill(&mut Folder::open(&path).unwrap(), "t", &[&*large; 8], 10);
    let folder = Folder::open(&path).unwrap();
    let topic = folder.topic("t").unwrap().unwrap();
    let look = || assert_eq!(folder.read(&topic, 0, 8, 10, 1000).unwrap(), []);
    look();
    let before = bytes_read();
    (0..100).for_each(|_| look());
    let read = bytes_read() - before;
    assert!(read < large.len() as u64, "{read} bytes were read for nothing");
}

/// By this thread, from files and caches alike.
fn bytes_read() -> u64 {
    let figures = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    figures.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}
