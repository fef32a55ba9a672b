//! The protocol against a file system in memory and an adversary.
//!
//! Writers of one partition run side by side, each of them a zombie from the moment that the next one opens. Every
//! call of theirs waits until the adversary lets it through: in any order between writers, with or without its
//! answer, later, or never; a writer may be killed at any of them. Resets of the position come between, zombies like
//! the writers. After each step the published files must be closed, disjoint and complete; when peace comes, one more
//! writer brings every row there exactly once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use proptest::prelude::*;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::name::Published;
use super::*;
use crate::batch::{Origins, Span};
use crate::sink::ledger::Ledger as _;
use crate::sink::{Log, Of, Start, Writer as _};

const DIRECTORY: &str = "/out";
const TOPIC: &str = "t";
const OFFSETS: i64 = 12;
const WRITERS_MAX: usize = 5;

#[derive(Clone, Debug)]
enum Call {
    List(String),
    MakeDirectory(String),
    Rename(String, String),
    Delete(String),
    Create(String, u64),
    Append(u64, Vec<u8>),
    Close(u64),
}

#[derive(Clone, Debug)]
enum Node {
    Directory,
    File(u64),
}

#[derive(Clone, Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    is_closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Exists,
    Missing,
    Unknown,
}

#[derive(Default)]
struct Tree {
    nodes: BTreeMap<String, Node>,
    contents: HashMap<u64, Contents>,
}

impl Tree {
    fn apply(&mut self, call: &Call) -> Result<Vec<String>, Refusal> {
        match call {
            Call::List(path) => return self.children(path),
            Call::MakeDirectory(path) => {
                for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
                    self.nodes.entry(path[..end].to_owned()).or_insert(Node::Directory);
                }
            }
            Call::Rename(from, to) => self.rename(from, to)?,
            Call::Delete(path) => drop(self.cut(path)),
            Call::Create(path, id) => {
                self.may_appear(path)?;
                self.nodes.insert(path.clone(), Node::File(*id));
                self.contents.insert(*id, Contents::default());
            }
            Call::Append(id, bytes) => self.contents.get_mut(id).ok_or(Refusal::Missing)?.bytes.extend(bytes),
            Call::Close(id) => self.contents.get_mut(id).ok_or(Refusal::Missing)?.is_closed = true,
        }
        Ok(Vec::new())
    }

    fn children(&self, path: &str) -> Result<Vec<String>, Refusal> {
        self.nodes.get(path).ok_or(Refusal::Missing)?;
        let inside = self.nodes.keys().filter_map(|key| key.strip_prefix(path)?.strip_prefix('/'));
        Ok(inside.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), Refusal> {
        self.nodes.get(from).ok_or(Refusal::Missing)?;
        self.may_appear(to)?;
        for (path, node) in self.cut(from) {
            self.nodes.insert(format!("{to}{}", &path[from.len()..]), node);
        }
        Ok(())
    }

    fn may_appear(&self, path: &str) -> Result<(), Refusal> {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        match (self.nodes.contains_key(path), self.nodes.contains_key(parent)) {
            (true, _) => Err(Refusal::Exists),
            (false, false) => Err(Refusal::Missing),
            (false, true) => Ok(()),
        }
    }

    fn cut(&mut self, path: &str) -> BTreeMap<String, Node> {
        let inside = format!("{path}/");
        let (gone, kept) =
            std::mem::take(&mut self.nodes).into_iter().partition(|(key, _)| key == path || key.starts_with(&inside));
        self.nodes = kept;
        gone
    }
}

type Answer = Result<Vec<String>, Refusal>;

#[derive(Default)]
struct State {
    tree: Tree,
    files: u64,
    waiting: Vec<(Call, oneshot::Sender<Answer>)>,
    /// Calls whose callers were told nothing, and that may still be carried out.
    late: Vec<Call>,
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<State>>);

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with it")
    }

    async fn ask(&self, call: Call) -> Result<Vec<String>, FileError> {
        let (sender, receiver) = oneshot::channel();
        self.state().waiting.push((call.clone(), sender));
        let answer = receiver.await.unwrap_or(Err(Refusal::Unknown));
        answer.map_err(|refusal| {
            let error = Error::retry(format!("{call:?}: {refusal:?}"));
            match refusal {
                Refusal::Exists => FileError::Exists(error),
                Refusal::Missing => FileError::Missing(error),
                Refusal::Unknown => FileError::Other(error),
            }
        })
    }
}

impl Files for Memory {
    type File = u64;

    fn place(&self, path: &str) -> String {
        path.to_owned()
    }

    async fn list(&self, path: &str, mut each: impl FnMut(&str) + Send) -> Result<(), FileError> {
        self.ask(Call::List(path.to_owned())).await?.iter().for_each(|name| each(name));
        Ok(())
    }

    async fn make_directory(&self, path: &str) -> Result<(), FileError> {
        self.ask(Call::MakeDirectory(path.to_owned())).await.map(drop)
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        self.ask(Call::Rename(from.to_owned(), to.to_owned())).await.map(drop)
    }

    async fn delete(&self, path: &str) -> Result<(), FileError> {
        self.ask(Call::Delete(path.to_owned())).await.map(drop)
    }

    async fn create(&self, path: &str) -> Result<u64, FileError> {
        let id = {
            let mut state = self.state();
            state.files += 1;
            state.files
        };
        self.ask(Call::Create(path.to_owned(), id)).await.map(|_| id)
    }

    async fn append(&self, file: &mut u64, bytes: Vec<u8>) -> Result<(), FileError> {
        self.ask(Call::Append(*file, bytes)).await.map(drop)
    }

    async fn close(&self, file: u64) -> Result<(), FileError> {
        self.ask(Call::Close(file)).await.map(drop)
    }
}

/// Some offsets give no row, some give two.
fn rows_of(offset: i64) -> i64 {
    [1, 0, 2, 1][(offset % 4) as usize]
}

fn lines_of(offsets: std::ops::Range<i64>) -> String {
    offsets
        .flat_map(|offset| (0..rows_of(offset)).map(move |row| format!("{{\"o\":{offset},\"r\":{row}}}\n")))
        .collect()
}

fn batch(from: i64, to: i64) -> Arc<Outbound> {
    let rows: Vec<(i64, i64)> =
        (from..to).flat_map(|offset| (0..rows_of(offset)).map(move |row| (offset, row))).collect();
    let column = |of: fn(&(i64, i64)) -> i64| Arc::new(rows.iter().map(of).collect::<Int64Array>()) as ArrayRef;
    let columns = RecordBatch::try_from_iter([("o", column(|row| row.0)), ("r", column(|row| row.1))]);
    let origins =
        Origins { partitions: vec![0; (to - from) as usize], offsets: (from..to).collect(), ..Origins::default() };
    Arc::new(Outbound {
        batch: Batch {
            columns: columns.expect("columns of one length"),
            lineage: rows.iter().map(|row| (row.0 - from) as u32).collect(),
            origins: Arc::new(origins),
            spans: vec![Span { partition: 0, from, to }],
            rejects: Vec::new(),
        },
        generation: "g".into(),
    })
}

fn context() -> Context {
    let log = Log { cluster: "c".into(), topic: TOPIC.into(), topic_id: "id".into() };
    let columns = vec!["o".to_owned(), "r".to_owned()];
    let timeout = Duration::from_secs(3600);
    Context { pipeline: "p".into(), sink: "s".into(), log, of: Of::Rows, columns, timeout }
}

fn writer(memory: &Memory) -> Writer<Memory> {
    let roll = Roll { rows_max: 4, bytes_max: 1 << 20, after: Duration::ZERO };
    Writer::over(memory.clone(), context(), DIRECTORY, roll).expect("names that fit")
}

/// Writes the whole log from its position on, `step` offsets a batch, and rolls after every other one.
async fn run(memory: Memory, step: i64) -> Result<()> {
    let mut writer = writer(&memory);
    let mut position = writer.open(&Starts::from([(0, Start::At(0))])).await?[&0];
    while position < OFFSETS {
        let to = OFFSETS.min(position + step);
        writer.write(batch(position, to)).await?;
        if to % 2 == 0 {
            writer.roll(Instant::now()).await?;
        }
        position = to;
    }
    writer.finish().await
}

/// Moves the position as far back as the published files allow: whoever comes next looks again at what gave no rows.
async fn rewind(memory: Memory) -> Result<()> {
    let mut ledger = Ledger::over(memory, &context(), DIRECTORY)?;
    let found = ledger.read(&BTreeSet::from([0])).await?;
    let floor = ledger.floor(0).await?;
    ledger.reset(0, &found[&0], floor).await
}

/// Every task runs until it waits for the adversary: on one thread, each turn polls all that can go on.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// What is published, as text; an error if it is not what an uninterrupted writer could have published.
fn published(memory: &Memory) -> Result<String, String> {
    let state = memory.state();
    let mut files: Vec<(Published, &Contents)> = Vec::new();
    for (path, node) in &state.tree.nodes {
        let name = path.strip_prefix(DIRECTORY).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
        if let (Some(file), Node::File(id)) = (Published::parse(name, TOPIC), node) {
            files.push((file, &state.tree.contents[id]));
        }
    }
    let (mut all, mut end) = (String::new(), 0);
    for (file, contents) in files {
        let text = String::from_utf8_lossy(&contents.bytes).into_owned();
        let is_right = contents.is_closed && text == lines_of(file.first..file.last + 1);
        if !is_right || file.first < end || !lines_of(end..file.first).is_empty() {
            return Err(format!("after offset {end} comes {file:?} with {text:?}, closed: {}", contents.is_closed));
        }
        all.push_str(&text);
        end = file.last + 1;
    }
    Ok(all)
}

struct Adversary {
    memory: Memory,
    writers: Vec<JoinHandle<Result<()>>>,
}

impl Adversary {
    async fn step(&mut self, choice: u16) {
        let (kind, which) = (choice % 100, usize::from(choice / 100));
        match kind {
            0..5 if self.writers.len() < WRITERS_MAX => {
                let step = 1 + which as i64 % 4;
                self.writers.push(tokio::spawn(run(self.memory.clone(), step)));
            }
            22..25 if self.writers.len() < WRITERS_MAX => self.writers.push(tokio::spawn(rewind(self.memory.clone()))),
            5..7 if !self.writers.is_empty() => self.writers[which % self.writers.len()].abort(),
            7..12 => self.carry_out_late(which),
            12..17 => self.let_through(which, |tree, call, _| drop(tree.apply(call)), Refusal::Unknown),
            17..22 => self.let_through(which, |_, call, late| late.push(call.clone()), Refusal::Unknown),
            _ => self.answer(which),
        }
        settle().await;
    }

    fn carry_out_late(&self, which: usize) {
        let state = &mut *self.memory.state();
        if !state.late.is_empty() {
            let call = state.late.remove(which % state.late.len());
            drop(state.tree.apply(&call));
        }
    }

    fn let_through(&self, which: usize, fate: impl Fn(&mut Tree, &Call, &mut Vec<Call>), refusal: Refusal) {
        let state = &mut *self.memory.state();
        if !state.waiting.is_empty() {
            let (call, sender) = state.waiting.remove(which % state.waiting.len());
            fate(&mut state.tree, &call, &mut state.late);
            drop(sender.send(Err(refusal)));
        }
    }

    fn answer(&self, which: usize) {
        let state = &mut *self.memory.state();
        if !state.waiting.is_empty() {
            let (call, sender) = state.waiting.remove(which % state.waiting.len());
            drop(sender.send(state.tree.apply(&call)));
        }
    }

    /// All goes through from here on, for the zombies too.
    async fn peace(&mut self) -> Result<()> {
        let mut last = tokio::spawn(run(self.memory.clone(), 3));
        while !last.is_finished() {
            self.answer(usize::MAX);
            settle().await;
        }
        while !self.memory.state().waiting.is_empty() || !self.memory.state().late.is_empty() {
            self.answer(0);
            self.carry_out_late(0);
            settle().await;
        }
        (&mut last).await.expect("it was not aborted")
    }
}

async fn play(choices: Vec<u16>) -> Result<(), TestCaseError> {
    let mut adversary = Adversary { memory: Memory::default(), writers: Vec::new() };
    for choice in choices {
        adversary.step(choice).await;
        published(&adversary.memory).map_err(TestCaseError::fail)?;
    }
    let mut peace = adversary.peace().await;
    if peace.is_err() {
        // a zombie's last take-over went through between: now there is none left
        peace = adversary.peace().await;
    }
    peace.map_err(|error| TestCaseError::fail(format!("no writer gets through in peace: {error}")))?;
    prop_assert_eq!(published(&adversary.memory).map_err(TestCaseError::fail)?, lines_of(0..OFFSETS));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn every_row_is_published_once_whatever_happens(choices in proptest::collection::vec(any::<u16>(), 0..400)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(play(choices))?;
    }
}
