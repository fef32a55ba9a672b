//! A question before something is done that cannot be undone.

use std::io::{self, IsTerminal, Write};

/// Asks on the terminal. `before`: what it asks before, as a person without a terminal reads it.
pub fn agreed(question: &str, before: &str) -> Result<bool, String> {
    if !io::stdin().is_terminal() {
        return Err(format!("error: this asks before it {before}, and there is no terminal to ask on: add --yes"));
    }
    let mut answer = String::new();
    let mut terminal = io::stderr();
    let asked = write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush());
    let read = asked.and_then(|()| io::stdin().read_line(&mut answer));
    read.map_err(|error| format!("error: reading the answer: {error}"))?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
