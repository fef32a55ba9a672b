//! A `millrace run`, whose words go to a file: signals, and how it ends.

use std::fs::{self, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for a busy machine; nothing waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at what is waited for.
pub const LOOK: Duration = Duration::from_millis(20);
const SIGTERM: i32 = 15;

pub struct Worker {
    child: Child,
    log: PathBuf,
    /// Where its own words begin.
    from: usize,
}

impl Worker {
    /// Adds to what is in `log`. Ends with the thread that started it, whatever ends that: a frozen one, too.
    pub fn start(command: &Command, log: PathBuf) -> Worker {
        let words = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let from = words.metadata().unwrap().len() as usize;
        let mut bound = Command::new("setpriv");
        bound.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
        bound.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let child = bound.stdin(Stdio::null()).stdout(Stdio::null()).stderr(words).spawn().unwrap();
        Worker { child, log, from }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        // one that has ended takes none
        drop(Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).stderr(Stdio::null()).status());
    }

    pub fn kill_nine(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Some once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// None: it did not end in this time.
    pub fn await_end(&mut self, time_max: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time_max;
        loop {
            match self.ended() {
                Some(status) => return Some(status),
                None if Instant::now() >= deadline => return None,
                None => sleep(LOOK),
            }
        }
    }

    /// SIGTERM, and an end with one of these codes; what was wrong otherwise.
    pub fn terminate(&mut self, times: u32, codes: &[i32]) -> Result<(), String> {
        for _ in 0..times {
            self.signal("TERM");
            if times > 1 {
                sleep(LOOK);
            }
        }
        match self.await_end(PATIENCE) {
            Some(status) if status.code().is_some_and(|code| codes.contains(&code)) => Ok(()),
            // so early that it did not listen yet
            Some(status) if status.signal() == Some(SIGTERM) && !self.said("starting") => Ok(()),
            Some(status) => Err(format!("after SIGTERM it ended with {status}; see {}", self.log.display())),
            None => Err(format!("it did not end within {PATIENCE:?} of SIGTERM; see {}", self.log.display())),
        }
    }

    pub fn said(&self, word: &str) -> bool {
        let log = fs::read(&self.log).unwrap();
        String::from_utf8_lossy(&log[self.from..]).contains(word)
    }

    pub fn await_word(&mut self, word: &str) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !self.said(word) {
            self.must_run()?;
            if Instant::now() > deadline {
                return Err(format!("it never said {word:?}; see {}", self.log.display()));
            }
            sleep(LOOK);
        }
        Ok(())
    }

    pub fn must_run(&mut self) -> Result<(), String> {
        match self.ended() {
            Some(status) => Err(format!("a worker ended by itself, with {status}; see {}", self.log.display())),
            None => Ok(()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // a round that failed leaves no process behind
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
