//! Tests of the program from the outside: on the real services (`flow`), and on nothing but a folder (`embedded`).

mod embedded;
mod flights;
mod flow;
mod inside;
mod parity;
mod process;
