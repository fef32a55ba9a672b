//! Tests of the program from the outside: on the real services (`flow`), and on nothing but a folder (`embedded`).

#[path = "../../trace/tests/collector/mod.rs"]
mod collector;
mod embedded;
mod figures;
mod flights;
mod flow;
mod logs;
mod parity;
mod process;
mod traces;
