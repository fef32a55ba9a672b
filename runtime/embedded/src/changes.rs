//! Bounds the file of changes (SQLite's WAL), whoever reads.
//!
//! SQLite writes changes back by itself, and begins their file anew at the next commit that finds no reader on it. With
//! readers that never rest there is no such commit. So a writer that finds the file too large writes it back at once,
//! and waits a moment for the readers that are on it: those that come meanwhile read the database instead.
//! Invariant: a reader that does not end its transaction delays writers once for each further [`BYTES_MAX`], no more.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

/// What SQLite writes back by itself is a quarter of it.
const BYTES_MAX: u64 = 16 << 20;
/// One read takes milliseconds. Many short waits: SQLite looks every 100 ms only, once it has waited long.
const READERS_WAIT: Duration = Duration::from_millis(10);
const WAITS_MAX: usize = 100;

pub struct Changes {
    file: PathBuf,
    bytes_max: Cell<u64>,
}

impl Changes {
    pub fn of(database: &Path) -> Changes {
        let mut file = database.as_os_str().to_owned();
        file.push("-wal");
        Changes { file: file.into(), bytes_max: Cell::new(BYTES_MAX) }
    }

    /// As long as somebody who may write has the database open, and after a crash.
    pub fn are_there(&self) -> bool {
        self.file.exists()
    }

    /// After a commit; `busy` is what the connection waits for others otherwise.
    pub fn bound(&self, connection: &Connection, busy: Duration) -> rusqlite::Result<()> {
        let bytes = std::fs::metadata(&self.file).map_or(0, |file| file.len());
        if bytes <= self.bytes_max.get() {
            return Ok(());
        }
        connection.busy_timeout(READERS_WAIT)?;
        let is_bounded = (0..WAITS_MAX).any(|_| write_back(connection));
        connection.busy_timeout(busy)?;
        // what a disk has against it, the next commit says
        self.bytes_max.set(if is_bounded { BYTES_MAX } else { bytes + BYTES_MAX });
        Ok(())
    }
}

/// True: the file begins anew.
fn write_back(connection: &Connection) -> bool {
    let was_busy: rusqlite::Result<bool> =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    was_busy.is_ok_and(|was_busy| !was_busy)
}
