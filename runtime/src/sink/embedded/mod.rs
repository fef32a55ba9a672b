//! The embedded twins: the head's transaction, and a collection of documents with a position of its own.
//!
//! Invariant: rows and the position that they are about are in one SQLite transaction, which first checks that the
//! position stands where this writer left it.

mod documents;
mod find;
mod keyed;
mod ledger;
mod scan;
mod transactions;

pub use self::documents::Writer;
pub use self::find::find;
pub use self::ledger::Ledger;
pub use self::scan::Scan;
pub use self::transactions::{RECORD_BYTES_MAX, Transactions};
