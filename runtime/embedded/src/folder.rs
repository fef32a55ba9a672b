//! The folder and its file: opened, made, and held.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::changes::Changes;
use crate::error::{Error, Result};
use crate::transaction::Transaction;
use crate::wake::{self, Wake};

const FILE: &str = "millrace.sqlite";
const HOLD: &str = "hold";
/// "mill", so that `file` and SQLite tools can tell whose it is.
const APPLICATION: i32 = 0x6d69_6c6c;
const VERSION: i32 = 1;
/// Of the largest process id.
const PROCESS_DIGITS: usize = 10;
/// A transaction of somebody else takes milliseconds; this much is a disk that stands still.
const BUSY: Duration = Duration::from_secs(10);
/// The file of changes shrinks back to this when it begins anew.
const WAL_BYTES_MAX: u32 = 16 << 20;

const TABLES: &str = "
CREATE TABLE topics (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, uuid TEXT NOT NULL, rows_max INTEGER NOT NULL) STRICT;
CREATE TABLE partitions (
    topic INTEGER NOT NULL, partition INTEGER NOT NULL, first INTEGER NOT NULL, end INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)) STRICT, WITHOUT ROWID;
CREATE TABLE messages (
    topic INTEGER NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, timestamp_ms INTEGER NOT NULL,
    key BLOB, value BLOB, headers BLOB,
    PRIMARY KEY (topic, partition, offset)) STRICT, WITHOUT ROWID;
CREATE TABLE offsets (
    consumer TEXT NOT NULL, topic INTEGER NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    PRIMARY KEY (consumer, topic, partition)) STRICT, WITHOUT ROWID;
CREATE TABLE documents (
    collection TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (collection, id)) STRICT, WITHOUT ROWID;
CREATE TABLE positions (
    sink TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, topic_uuid TEXT NOT NULL,
    next INTEGER NOT NULL,
    PRIMARY KEY (sink, topic, partition)) STRICT, WITHOUT ROWID;
";

/// One connection to the folder's file. A thread has its own.
pub struct Folder {
    pub(crate) folder: PathBuf,
    pub(crate) file: PathBuf,
    pub(crate) connection: Connection,
    changes: Changes,
    access: Access,
    opened: Opened,
}

/// Device and inode: whoever moves or deletes the file leaves SQLite with one that has no name, and what is written to it
/// goes with the process.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Opened(u64, u64);

impl Opened {
    fn of(found: &Metadata) -> Opened {
        Opened(found.dev(), found.ino())
    }
}

enum Access {
    /// With the bell, which is written to after each commit, so that readers wake.
    Write(File),
    /// Only to read. With the file as it was, where SQLite was told that nobody changes it.
    Read(Option<Box<Metadata>>),
}

/// The right to run a pipeline on the folder; gone with the process, whatever ends it.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "held, not used")] File);

/// Parents that are missing are made: where that is "not found", nothing can be made at all.
fn not_made(folder: &Path, cause: &std::io::Error) -> Error {
    match cause.kind() {
        ErrorKind::NotFound => {
            Error::Unusable(format!("making {}: no folder can be made there; choose another", folder.display()))
        }
        _ => Error::io("making", folder, cause),
    }
}

impl Folder {
    /// Makes the folder and its tables where they are not there.
    pub fn open(folder: &Path) -> Result<Folder> {
        fs::create_dir_all(folder).map_err(|cause| not_made(folder, &cause))?;
        let file = folder.join(FILE);
        refuse_emptied(folder, &file)?;
        let failed = |cause| Error::sqlite("opening", &file, cause);
        let mut connection = Connection::open(&file).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        let settings = format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = {WAL_BYTES_MAX};
             PRAGMA temp_store = MEMORY;"
        );
        connection.execute_batch(&settings).map_err(failed)?;
        prepare(&mut connection, &file)?;
        let access = Access::Write(wake::bell(folder)?);
        let changes = Changes::of(&file);
        let opened = fs::metadata(&file).map_err(|cause| Error::io("opening", &file, &cause))?;
        Ok(Folder { folder: folder.to_owned(), opened: Opened::of(&opened), file, connection, changes, access })
    }

    /// To read what is there, also where nothing may be written.
    pub fn look(folder: &Path) -> Result<Folder> {
        let file = folder.join(FILE);
        match OpenOptions::new().write(true).open(&file) {
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
                Folder::read_only(folder, file)
            }
            _ => Folder::open(folder),
        }
    }

    /// Beside its file SQLite keeps two more as long as somebody who writes has it open; reading takes both, and cannot
    /// make them. Without them nobody has it open: it is read as a file that nobody changes, and
    /// [`Folder::is_as_it_was`] holds it to that.
    fn read_only(folder: &Path, file: PathBuf) -> Result<Folder> {
        let failed = |cause| Error::sqlite("opening", &file, cause);
        let changes = Changes::of(&file);
        let found = File::open(&file).and_then(|found| found.metadata()).map_err(|cause| {
            Error::Unusable(format!(
                "reading {}: {cause}; whoever looks must have the right to read it",
                file.display()
            ))
        })?;
        let opened = Opened::of(&found);
        let as_it_was = (!changes.are_there()).then(|| Box::new(found));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match &as_it_was {
            None => Connection::open_with_flags(&file, flags),
            Some(_) => Connection::open_with_flags(immutable(&file), flags | OpenFlags::SQLITE_OPEN_URI),
        };
        let connection = connection.map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        if !is_ours(&connection, &file)? {
            return Err(Error::Unusable(format!("{} is empty: nothing was written to it", file.display())));
        }
        Ok(Folder { folder: folder.to_owned(), file, connection, changes, access: Access::Read(as_it_was), opened })
    }

    /// Before what is written, and after each reading: the file is still there, and what was read is of one time.
    pub(crate) fn is_as_it_was(&self) -> Result<()> {
        let now = match fs::metadata(&self.file) {
            Ok(now) if Opened::of(&now) == self.opened => now,
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(Error::io("reading", &self.file, &cause)),
            _ => {
                return Err(Error::Unusable(format!(
                    "{} was moved, deleted or replaced while this process had it open: put it back, with the files \
                     beside it, and start again",
                    self.file.display()
                )));
            }
        };
        let Access::Read(Some(was)) = &self.access else { return Ok(()) };
        match !self.changes.are_there() && now.len() == was.len() && now.modified().ok() == was.modified().ok() {
            true => Ok(()),
            false => Err(Error::Unusable(format!(
                "{} was opened by somebody who writes, after this reader, who may not: start this again",
                self.file.display()
            ))),
        }
    }

    /// Is there such a folder already?
    pub fn is_one(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Reads the whole file, and says what of it is damaged.
    pub fn check(&self) -> Result<()> {
        let failed = |cause| Error::sqlite("checking", &self.file, cause);
        let found: String = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        match found.as_str() {
            "ok" => self.is_as_it_was(),
            damage => Err(Error::damaged("checking", &self.file, damage.lines().last().unwrap_or_default())),
        }
    }

    pub fn begin(&mut self) -> Result<Transaction<'_>> {
        Transaction::begin(self)
    }

    pub fn wake(&self) -> Result<Wake> {
        Wake::new(&self.folder)
    }

    /// What follows every commit. It has happened: nothing in here can undo it.
    pub(crate) fn committed(&self) {
        self.ring();
        // a connection whose timeout cannot be set is one that the next transaction fails on
        let _ = self.changes.bound(&self.connection, BUSY);
    }

    fn ring(&self) {
        if let Access::Write(bell) = &self.access {
            let mut bell: &File = bell;
            // a reader that misses it looks again by itself, only later
            let _ = bell.rewind().and_then(|()| bell.write_all(b"!"));
        }
    }

    pub(crate) fn failed(&self, what: &str) -> impl FnOnce(rusqlite::Error) -> Error {
        let (what, file) = (what.to_owned(), self.file.clone());
        move |cause| Error::sqlite(&what, &file, cause)
    }
}

/// An empty file, or one that is gone, would be made a new folder's, and everything that was in it forgotten. The bell is
/// there only once the tables are.
fn refuse_emptied(folder: &Path, file: &Path) -> Result<()> {
    let lost = match fs::metadata(file) {
        Ok(found) if found.len() == 0 => "is empty, and was not",
        Err(cause) if cause.kind() == ErrorKind::NotFound => "is not there, and was",
        _ => return Ok(()),
    };
    match wake::is_bell_in(folder) {
        false => Ok(()),
        true => Err(Error::Unusable(format!(
            "{} {lost}: put a copy of the folder back, or move the folder away to begin anew",
            file.display()
        ))),
    }
}

fn prepare(connection: &mut Connection, file: &Path) -> Result<()> {
    let failed = |cause| Error::sqlite("reading", file, cause);
    // two processes that begin at once make the tables once
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
    if !is_ours(&transaction, file)? {
        let made = format!("{TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};");
        transaction.execute_batch(&made).map_err(|cause| Error::sqlite("making tables", file, cause))?;
    }
    transaction.commit().map_err(failed)
}

/// False: it is nobody's yet.
fn is_ours(connection: &Connection, file: &Path) -> Result<bool> {
    let failed = |cause| Error::sqlite("reading", file, cause);
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(failed);
    match (number("application_id")?, number("user_version")?) {
        (0, 0) => Ok(false),
        (APPLICATION, VERSION) => Ok(true),
        (APPLICATION, newer) => Err(Error::Unusable(format!(
            "{} is of version {newer}, and this millrace knows version {VERSION}: use the millrace that wrote it, or \
             another folder",
            file.display()
        ))),
        _ => Err(Error::Unusable(format!("{} is another program's SQLite file", file.display()))),
    }
}

/// SQLite's word for a file that nobody changes.
fn immutable(file: &Path) -> String {
    let path = file.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?immutable=1")
}

impl Hold {
    pub fn take(folder: &Path) -> Result<Hold> {
        fs::create_dir_all(folder).map_err(|cause| Error::io("making", folder, &cause))?;
        let path = folder.join(HOLD);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|cause| Error::io("opening", &path, &cause))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut who = String::new();
                let _ = file.read_to_string(&mut who);
                return Err(Error::Unusable(format!(
                    "{} is held by another millrace (process {}): stop it, or use another folder",
                    folder.display(),
                    who.trim()
                )));
            }
            Err(TryLockError::Error(cause)) => return Err(Error::io("locking", &path, &cause)),
        }
        // over what is there, never shorter: a full disk has no room for what was given back
        let written = file.rewind().and_then(|()| write!(file, "{:<PROCESS_DIGITS$}", std::process::id()));
        written.map_err(|cause| Error::io("writing", &path, &cause))?;
        Ok(Hold(file))
    }
}
