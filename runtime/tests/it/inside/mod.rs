//! What one sees of a pipeline from outside while it runs, or does not: on real services and on a folder alike.

mod explain;
mod keyed;
mod rejects;
mod routed;
mod scripts;
pub mod stand;
mod tap;
mod watch;
