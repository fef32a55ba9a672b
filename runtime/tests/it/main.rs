//! Tests of the program from the outside: on the real services (`flow`), and on nothing but a folder (`embedded`; `folder`
//! and `disk` are about folders that cannot be used, and disks that take no more; `archive` is about the directory of files
//! on both).

mod archive;
mod author;
mod bad_input;
#[path = "../../trace/tests/collector/mod.rs"]
mod collector;
mod disk;
mod embedded;
mod figures;
mod flights;
mod flow;
mod folder;
mod guest;
mod hostile;
mod inside;
mod issuer;
mod logs;
mod mount;
mod parity;
mod plugins;
mod positions;
mod process;
mod replay;
mod shapes;
mod shell;
mod standing;
mod traces;
