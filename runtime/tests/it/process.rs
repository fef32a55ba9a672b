//! A `millrace` that runs, and what it says.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Long enough for a busy machine; nothing waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// By the shell's own `kill`: the program of that name is a package that a bare machine lacks.
pub fn signal(id: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &id.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// `millrace run`, and what it says.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Process {
    pub fn start(mut command: Command) -> Process {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        Process { child, lines, said: String::new() }
    }

    pub fn said(&mut self) -> &str {
        while let Ok(line) = self.lines.try_recv() {
            self.said += &line;
            self.said.push('\n');
        }
        &self.said
    }

    /// Waits until it has said this since its start.
    pub fn await_word(&mut self, word: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.said().contains(word) {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said += &line;
                    self.said.push('\n');
                }
                Err(_) => panic!("never said {word:?}; said:\n{}", self.said),
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn must_run(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("ended with {status}; said:\n{}", self.said());
        }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn kill_nine(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Exit code, and all that it said.
    pub fn wait(&mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said += &line;
                    self.said.push('\n');
                }
                // it says nothing more: it has ended
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("did not end; said:\n{}", self.said),
            }
        }
        (self.child.wait().unwrap().code(), self.said.clone())
    }

    /// SIGTERM, and a good end.
    pub fn drain(&mut self) -> String {
        self.signal("TERM");
        let (code, said) = self.wait();
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // a test that failed leaves no process behind
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// With a terminal, on which somebody types.
pub fn on_a_terminal(command: &Command, typed: &str) -> Output {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    // it gives what it runs a terminal of its own
    let mut script = Command::new("script")
        .args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    script.stdin.as_mut().unwrap().write_all(format!("{typed}\n").as_bytes()).unwrap();
    script.wait_with_output().unwrap()
}
