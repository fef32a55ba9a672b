//! What a shell sees of the program: its streams, its exit codes, its words on files and options that are wrong.

mod help;
mod interrupted;
mod output;
mod sending;
mod texts;
mod topics;
