//! Every command of README.md and docs/plugins.md is run, in order, as a reader would: in a shell, from the checkout's
//! folder.
//!
//! The rules, so that a new line of the README needs no new line here:
//! - a ```sh block is one shell. Each of its commands must end with 0;
//! - a ```text block right after it is what it prints, `…` being whatever changes. With a line that is only `…` it is an
//!   excerpt: each other line must be said, and there is one. Without one it is everything;
//! - an excerpt that ends with `…` is of a command that goes on. The blocks behind it run beside it, until the section
//!   ends: then it gets what Ctrl-C sends, and must end well;
//! - a ```toml block that begins with a name is a pipeline in order;
//! - a block of another language, and a ```toml block that is a part of a pipeline, stands in the file of the last link
//!   before it, which has tests of its own; a picture stands in none, and a ```console block is for a Docker engine, where
//!   `./dev compose-test` is;
//! - what begins with a program that is not in [`PROGRAMS`] fails, and so does a command in the text that has no
//!   `--help`.
//!
//! The shells are in a folder of their own where everything but `.millrace` is a link to the checkout's, with ports of
//! their own: nothing that runs on this machine is met. `./dev test` is what runs this test, and is not run by it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Long enough for a busy machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(100);
const PROGRAMS: [&str; 5] = [".", "./dev", "echo", "target/debug/millrace", "target/debug/millrace-web"];
const TESTED_BY_CI: &str = "./dev test";
/// Those whose blocks are run, and whose commands are there.
const PAGES: [&str; 2] = ["README.md", "docs/plugins.md"];

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn readme() -> String {
    fs::read_to_string(checkout().join("README.md")).unwrap()
}

/// One after the other: they share ports.
#[test]
fn every_command_runs_and_prints_what_the_pages_say() {
    for page in PAGES {
        every_block_of(&checkout().join(page));
    }
}

fn every_block_of(page: &Path) {
    let mut scratch = Scratch::new();
    for section in sections(&fs::read_to_string(page).unwrap()) {
        let mut going_on = Vec::new();
        for block in section {
            match block.kind.as_str() {
                "sh" => going_on.extend(scratch.run(&block)),
                "toml" if block.text.starts_with("name = ") => scratch.check(&block.text),
                "" | "console" | "text" | "mermaid" => {}
                _ => {
                    let file = page.parent().unwrap().join(block.link.as_ref().expect("a link before the block"));
                    let there = fs::read_to_string(&file).unwrap().contains(&block.text);
                    assert!(there, "not in {}:\n{}", file.display(), block.text);
                }
            }
        }
        // the last that was started is the first that is ended
        going_on.into_iter().rev().for_each(Shell::interrupt);
    }
    scratch.end();
}

#[test]
fn commands_that_are_only_named_are_there() {
    let usage = said(Command::new("./dev").current_dir(checkout()));
    let mut named = 0;
    let texts = PAGES.map(|page| prose(&fs::read_to_string(checkout().join(page)).unwrap()));
    for span in texts.iter().flat_map(|text| text.split('`').skip(1).step_by(2)) {
        let words: Vec<_> = span.split_whitespace().collect();
        match words.as_slice() {
            ["./dev", command, ..] => assert!(usage.contains(&format!("./dev {command}")), "`{span}`"),
            ["millrace", command, rest @ ..] => {
                let mut help = Command::new(env!("CARGO_BIN_EXE_millrace"));
                help.arg(command);
                // a word that is no name of a subcommand is an argument
                let plain = |word: &&&str| word.chars().all(|letter| letter.is_ascii_lowercase());
                help.args(rest.iter().take_while(plain)).arg("--help");
                let done = help.output().unwrap();
                assert!(done.status.success(), "`{span}`: {}", String::from_utf8_lossy(&done.stderr));
            }
            _ => continue,
        }
        named += 1;
    }
    assert!(named > 5, "{named} commands are named");
}

/// The mistake that the README shows is made in the shipped pipeline, and said as the README has it.
#[test]
fn the_mistake_is_said_as_the_readme_shows_it() {
    let text = readme();
    let shown = text.split("```").find(|block| block.starts_with("\nerror: ")).expect("an error is shown").trim_start();
    let file = checkout().join("pipelines/flight-delay.toml");
    let wrong = fs::read_to_string(file).unwrap().replacen("\nunknown_category ", "\nunknown_categry ", 1);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("readme-mistake");
    fs::create_dir_all(folder.join("pipelines")).unwrap();
    for name in ["examples", "plugins"] {
        link(&checkout().join(name), &folder.join(name));
    }
    fs::write(folder.join("pipelines/flight-delay.toml"), wrong).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_millrace"));
    let said = said(check.args(["check", "pipelines/flight-delay.toml"]).current_dir(folder));
    assert!(said.starts_with(shown), "the README has\n{shown}\nbut it is\n{said}");
}

#[test]
fn every_link_to_a_file_of_the_repository_has_one() {
    let mut found = 0;
    for page in
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/page.md", "docs/metrics.md", "docs/plugins.md"]
    {
        let text = fs::read_to_string(checkout().join(page)).unwrap();
        let folder = checkout().join(page).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(folder.join(target).exists(), "{page}: {target}");
                found += 1;
            }
        }
    }
    assert!(found > 10, "{found} links");
}

/// What CI runs, and what the README says that it runs, are the same line.
#[test]
fn ci_runs_what_the_readme_says() {
    let script = fs::read_to_string(checkout().join(".ci/run")).unwrap();
    assert!(script.lines().any(|line| line == TESTED_BY_CI), "{script}");
    assert!(readme().lines().any(|line| line == TESTED_BY_CI));
}

fn said(command: &mut Command) -> String {
    let done = command.output().unwrap();
    String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap()
}

// --- what the README has --------------------------------------------------------------------------------------

struct Block {
    kind: String,
    text: String,
    /// The ```text block right after it.
    prints: Option<String>,
    /// Where the last link before it leads.
    link: Option<String>,
}

/// Blocks by the `##` that they are under.
fn sections(readme: &str) -> Vec<Vec<Block>> {
    let mut sections = vec![Vec::new()];
    let mut lines = readme.lines();
    let (mut follows, mut link) = (false, None);
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            if line.starts_with("## ") {
                sections.push(Vec::new());
            }
            let leads = line.rsplit_once("](").and_then(|(_, rest)| rest.split(')').next());
            link = leads.map(str::to_owned).or(link);
            follows &= line.is_empty();
            continue;
        };
        let text: String = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        let blocks: &mut Vec<Block> = sections.last_mut().unwrap();
        match blocks.last_mut() {
            Some(before) if kind == "text" && follows => before.prints = Some(text),
            _ => blocks.push(Block { kind: kind.into(), text, prints: None, link: link.clone() }),
        }
        follows = kind == "sh";
    }
    sections
}

/// The README without its blocks.
fn prose(readme: &str) -> String {
    readme.split("```").step_by(2).collect()
}

/// A line that goes on is joined with the next.
fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ").replace("|\n", "| ");
    joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// The programs of a command: a pipe has several. Words in quotes hold no program.
fn programs(command: &str) -> Vec<String> {
    let bare: Vec<_> = command.split('\'').step_by(2).collect();
    let bare = bare.join("''").replace("&&", "|").replace(';', "|");
    let programs = bare.split('|').map(|part| {
        let mut words = part.split_whitespace().skip_while(|word| word.contains('=') && !word.starts_with('-'));
        words.next().unwrap_or_default().to_owned()
    });
    programs.collect()
}

// --- what is printed ------------------------------------------------------------------------------------------

/// `…` is any text, of one line.
fn is_like(line: &str, pattern: &str) -> bool {
    match pattern.split_once('…') {
        None => line == pattern,
        Some((before, rest)) => line.strip_prefix(before).is_some_and(|line| {
            let starts = line.char_indices().map(|(start, _)| start).chain([line.len()]);
            starts.into_iter().any(|start| is_like(&line[start..], rest))
        }),
    }
}

fn is_excerpt(prints: &str) -> bool {
    prints.lines().any(|line| line == "…")
}

fn goes_on(prints: &str) -> bool {
    prints.lines().last() == Some("…")
}

/// The first line of the README that nobody has said.
fn missing<'p>(said: &str, prints: &'p str) -> Option<&'p str> {
    let said: Vec<_> = said.lines().map(str::trim_end).collect();
    if is_excerpt(prints) {
        // two programs of one command may talk at once, so their order is nobody's
        return prints.lines().find(|pattern| *pattern != "…" && !said.iter().any(|line| is_like(line, pattern)));
    }
    let patterns: Vec<_> = prints.lines().collect();
    let unlike = patterns.iter().zip(said.iter().map(Some).chain([None].into_iter().cycle()));
    let unlike = unlike.into_iter().find(|(pattern, line)| !line.is_some_and(|line| is_like(line, pattern)));
    unlike.map(|(pattern, _)| *pattern).or((said.len() > patterns.len()).then_some("(the end)"))
}

#[test]
fn what_is_not_printed_is_missed() {
    assert_eq!(missing("a 1 b\nc\n", "a … b\nc\n"), None);
    assert_eq!(missing("a 1\nc\n", "a … b\nc\n"), Some("a … b"));
    assert_eq!(missing("a\nb\n", "a\n"), Some("(the end)"));
    assert_eq!(missing("a\n", "a\nb\n"), Some("b"));
    assert_eq!(missing("x\nb\ny\na 7\n", "…\na …\n…\nb\n"), None);
    assert_eq!(missing("x\n", "…\na\n"), Some("a"));
    assert_eq!(programs("A=1 echo 'x | y' |  z --a=b && ./dev up"), ["echo", "z", "./dev"]);
}

/// Below those that the system gives to clients (from 32768 on), one of whom could have it before the service has.
fn free_ports() -> impl Iterator<Item = u16> {
    let first = 10_000 + (std::process::id() % 200) as u16 * 100;
    (first..32_768).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
}

// --- where it is run ------------------------------------------------------------------------------------------

struct Scratch {
    folder: PathBuf,
    /// Of the README, and here instead.
    ports: Vec<(&'static str, u16)>,
    environment: Vec<(&'static str, String)>,
    services: bool,
}

impl Scratch {
    fn new() -> Scratch {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("readme");
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(folder.join(".millrace")).unwrap();
        fs::create_dir_all(folder.join("bin")).unwrap();
        for entry in fs::read_dir(checkout()).unwrap().map(|entry| entry.unwrap().file_name()) {
            if entry != ".millrace" && entry != ".git" {
                link(&checkout().join(&entry), &folder.join(&entry));
            }
        }
        // what was fetched and built once is not fetched again
        for entry in ["jars", "tools", "xgboost"] {
            link(&checkout().join(".millrace").join(entry), &folder.join(".millrace").join(entry));
        }
        cargo_of_the_checkout(&folder);
        let services = [
            "KAFKA_PORT",
            "KAFKA_CONTROLLER_PORT",
            "KAFKA_WIRE_PORT",
            "KAFKA_WIRED_PORT",
            "KAFKA_SECURE_PORT",
            "KAFKA_SIGNED_PORT",
            "MONGODB_PORT",
            "NN_PORT",
            "NN_HTTP",
            "DN_PORT",
            "DN_IPC",
            "DN_HTTP",
        ];
        let mut free = free_ports();
        let mut free = || free.next().expect("a free port");
        let mut environment: Vec<_> = services.into_iter().map(|name| (name, free().to_string())).collect();
        let (page, status) = (free(), free());
        environment.extend([
            ("MILLRACE_WEB_LISTEN", format!("127.0.0.1:{page}")),
            ("MILLRACE_LISTEN", format!("127.0.0.1:{status}")),
            ("MILLRACE_PIPELINE_STATUS", format!("http://127.0.0.1:{status}")),
        ]);
        Scratch { folder, ports: vec![("5001", page), ("9464", status)], environment, services: false }
    }

    /// With the ports of this run instead of those that the README has.
    fn here(&self, text: &str) -> String {
        let replace =
            |text: String, (of_readme, here): &(&str, u16)| text.replace(&format!(":{of_readme}"), &format!(":{here}"));
        self.ports.iter().fold(text.to_owned(), replace)
    }

    /// Returns what goes on.
    fn run(&mut self, block: &Block) -> Option<Shell> {
        if block.text.trim() == TESTED_BY_CI {
            // it runs this test; `ci_runs_what_the_readme_says` holds what can be held of it
            return None;
        }
        let commands = commands(&block.text);
        for program in commands.iter().flat_map(|command| programs(command)) {
            assert!(PROGRAMS.contains(&program.as_str()), "`{program}` is no program that this test knows how to run");
        }
        self.services |= commands.iter().any(|command| command.starts_with("./dev services up"));
        let prints = self.here(block.prints.as_deref().unwrap_or_default());
        // else whatever it says would do, and it would pass for one that goes on
        let says = |prints: &String| prints.lines().any(|line| line != "…");
        assert!(block.prints.as_ref().is_none_or(says), "a block that says nothing is behind:\n{}", block.text);
        let mut shell = Shell::start(self, &self.here(&block.text));
        let ended = shell.until_ended(|said| goes_on(&prints) && missing(said, &prints).is_none());
        let what = format!("```sh\n{}```\nit said:\n{}", block.text, shell.said);
        match ended {
            Some(status) => assert!(status.success() && !goes_on(&prints), "{status}: {what}"),
            None => return Some(shell),
        }
        if block.prints.is_some() {
            assert_eq!(missing(&shell.said, &prints), None, "not printed: {what}");
        }
        None
    }

    /// A pipeline of the README, where those that ship are.
    fn check(&self, toml: &str) {
        let folder = self.folder.join("of-the-readme");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("pipeline.toml"), toml).unwrap();
        let mut check = Command::new(env!("CARGO_BIN_EXE_millrace"));
        let done = check.args(["check", "pipeline.toml"]).current_dir(folder).output().unwrap();
        assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    fn down(&mut self) -> ExitStatus {
        self.services = false;
        let mut down = Command::new("./dev");
        down.args(["services", "down"]).current_dir(&self.folder).envs(self.environment.clone());
        down.status().unwrap()
    }

    fn end(mut self) {
        assert!(!self.services || self.down().success());
    }
}

/// A test that failed leaves no process behind.
impl Drop for Scratch {
    fn drop(&mut self) {
        if self.services {
            self.down();
        }
    }
}

fn link(target: &Path, name: &Path) {
    drop(fs::remove_file(name));
    symlink(target, name).unwrap();
}

/// What is built is the checkout's own, where it stands, as by whoever built it before: by another path, or with another
/// PATH, cargo would build half of it again.
fn cargo_of_the_checkout(folder: &Path) {
    let (here, there) = (folder.display(), checkout().display());
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let script = format!(
        "#!/bin/sh\nPATH=${{PATH#{here}/bin:}}\ncase $PWD in {here}*) cd \"{there}${{PWD#{here}}}\" ;; esac\n\
         exec {cargo} \"$@\"\n"
    );
    let file = folder.join("bin/cargo");
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

// --- what runs it ---------------------------------------------------------------------------------------------

struct Shell {
    script: String,
    process: Child,
    lines: Receiver<String>,
    said: String,
}

impl Shell {
    fn start(scratch: &Scratch, script: &str) -> Shell {
        let path = format!("{}:{}", scratch.folder.join("bin").display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        // as a terminal shows it: one stream
        bash.args(["-c", &format!("exec 2>&1; set -e -o pipefail\n{script}")]);
        bash.current_dir(&scratch.folder).env("PATH", path).envs(scratch.environment.clone());
        // a reader has none of what the tests are told, and of what cargo tells them: crates would be built again for it
        let of_cargo = |name: &String| name.starts_with("CARGO_") && name != "CARGO_HOME" && name != "CARGO_TARGET_DIR";
        let of_cargo = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(of_cargo);
        let of_tests = ["KAFKA_BROKERS", "MONGODB_URI", "HDFS_URI", "LD_LIBRARY_PATH", "OUT_DIR"].map(str::to_owned);
        of_cargo.chain(of_tests).for_each(|name| {
            bash.env_remove(name);
        });
        // a group of its own, as in a terminal: Ctrl-C reaches all of it
        let mut process = bash.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let out = process.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        Shell { script: script.into(), process, lines, said: String::new() }
    }

    /// None: it has said enough, and goes on.
    fn until_ended(&mut self, enough: impl Fn(&str) -> bool) -> Option<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => self.said += &format!("{line}\n"),
                // what the shell left running in the background may hold the stream open
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    if let Some(status) = self.process.try_wait().unwrap() {
                        self.said.extend(self.lines.try_iter().map(|line| format!("{line}\n")));
                        return Some(status);
                    }
                }
            }
            if enough(&self.said) {
                return None;
            }
            assert!(
                Instant::now() < deadline,
                "neither ends nor says enough:\n{}\nit said:\n{}",
                self.script,
                self.said
            );
        }
    }

    fn signal(&self, name: &str) {
        // the shell's own: the program of that name is a package that a bare machine lacks
        let kill = format!("kill -s {name} -- -{}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Ctrl-C. What has something to lose ends with 0; a reader may just end.
    fn interrupt(mut self) {
        self.signal("INT");
        let status = self.until_ended(|_| false).unwrap();
        let only_reads = self.script.contains("millrace consume") && status.signal() == Some(2);
        assert!(status.success() || only_reads, "{status}:\n{}\nit said:\n{}", self.script, self.said);
    }
}

/// A test that failed leaves no process behind: what is asked to end takes what it started with it.
impl Drop for Shell {
    fn drop(&mut self) {
        if self.process.try_wait().unwrap().is_none() {
            self.signal("INT");
            let deadline = Instant::now() + PATIENCE / 10;
            while self.process.try_wait().unwrap().is_none() && Instant::now() < deadline {
                drop(self.lines.recv_timeout(LOOK));
            }
            drop(self.process.kill());
            drop(self.process.wait());
        }
    }
}
