//! A pipeline on a folder, on a small disk of its own: one process, whose workers are threads.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use millrace_embedded::{Folder, Record as Sent};

use crate::check::{Observed, Record, of_documents};
use crate::mount::Disk;
use crate::pipeline::{Pipeline, Variant};
use crate::random::Random;
use crate::round::{Feed, Timeline, World};
use crate::worker::{PATIENCE, Worker};

const SIGXFSZ: i32 = 25;
const PARTITIONS: i32 = 3;
/// More than a round sends.
const MESSAGES_MAX: usize = 100_000;

#[derive(Debug)]
pub enum Fault {
    Kill,
    /// Again, so long after each start.
    KillStarting(Vec<u64>),
    Freeze {
        ms: u64,
    },
    Terminate,
    TerminateTwice,
    /// Another answer for the same rows: by a kill, or a good end.
    Redeploy {
        kill: bool,
    },
    /// Partitions are shared anew.
    Workers(u64),
    DiskFull {
        ms: u64,
    },
    DiskReadOnly,
    /// The write that would go beyond so many bytes of a file kills it.
    KillWriting {
        bytes: u64,
    },
    SecondProcess,
    /// A reader that is stopped so long after its start, perhaps in the middle of a read, and for a while.
    FrozenReader {
        after_ms: u64,
        ms: u64,
    },
}

pub struct Embedded {
    folder: PathBuf,
    disk: Disk,
    pipeline: Pipeline,
    workers: u64,
    worker: Option<Worker>,
    reader: Option<Worker>,
}

impl Embedded {
    pub fn new(folder: PathBuf, seed: u64) -> Embedded {
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let disk = Disk::new(&folder.join("disk"), "48m");
        let pipeline = Pipeline::new("chaos", folder.join("pipeline.toml"), Variant::of(seed));
        Embedded { folder, disk, pipeline, workers: 2, worker: None, reader: None }
    }

    fn data(&self) -> PathBuf {
        self.disk.path().join("data")
    }

    fn open(&self) -> Folder {
        Folder::open(&self.data()).unwrap()
    }

    fn millrace(&self) -> Command {
        Command::new(env!("CARGO_BIN_EXE_millrace"))
    }

    fn run(&self) -> Worker {
        self.pipeline.write();
        let mut run = self.millrace();
        run.arg("run").arg(&self.pipeline.file).arg("--embedded").arg(self.data());
        Worker::start(run.args(["--workers", &self.workers.to_string()]), self.folder.join("worker.log"))
    }

    fn worker(&mut self) -> &mut Worker {
        self.worker.as_mut().unwrap()
    }

    fn kill(&mut self) {
        self.worker().kill_nine();
    }

    fn redeploy(&mut self, kill: bool) -> Result<(), String> {
        match kill {
            true => self.kill(),
            false => self.worker().terminate(1, &[0])?,
        }
        self.pipeline.redeploy();
        self.start()
    }

    /// One that is at work waits for room; one that begins ends, and says why.
    fn fill_disk(&mut self, ms: u64) -> Result<(), String> {
        self.disk.fill();
        sleep(Duration::from_millis(ms));
        self.disk.make_room();
        let worker = self.worker();
        // one that was about to begin does not, and may have met the full disk just before
        let ended = worker.await_end(Duration::from_millis(200));
        let refused = ended.is_some_and(|status| status.code() == Some(1)) && worker.said("make room on the disk");
        if refused { self.start() } else { Ok(()) }
    }

    /// It must not begin, and must say why.
    fn start_read_only(&mut self) -> Result<(), String> {
        self.end_reader();
        self.kill();
        self.disk.remount("ro");
        let mut worker = self.run();
        let ended = worker.await_end(PATIENCE);
        self.disk.remount("rw");
        if ended.and_then(|status| status.code()) != Some(1) || !worker.said("must be writable") {
            return Err(format!("on a read-only disk it ended with {ended:?}"));
        }
        self.start()
    }

    fn limit(&mut self, bytes: u64, timeline: &mut Timeline) -> Result<(), String> {
        let id = self.worker().id().to_string();
        let limit = |bytes: &str| {
            let limit = format!("--fsize={bytes}:unlimited");
            drop(Command::new("prlimit").args(["--pid", &id, &limit]).stderr(Stdio::null()).status());
        };
        limit(&bytes.to_string());
        let met = self.worker().await_end(Duration::from_millis(200)).or_else(|| {
            limit("unlimited");
            // it may have met the limit just before that
            self.worker().await_end(Duration::from_millis(100))
        });
        let Some(status) = met else { return Ok(()) };
        timeline.note(format!("{status}"));
        self.start()
    }

    fn second_process(&mut self) -> Result<(), String> {
        // one that has only just begun does not hold it yet
        self.worker().await_word("starting")?;
        let mut second = self.run();
        let status = second.await_end(PATIENCE);
        match status.and_then(|status| status.code()) {
            Some(1) if second.said("is held by another millrace") => Ok(()),
            _ => Err(format!("a second process on the folder ended with {status:?}")),
        }
    }

    fn freeze_reader(&mut self, after_ms: u64, ms: u64) {
        let mut follow = self.millrace();
        follow.args(["consume", &self.topic(), "--follow", "--embedded"]).arg(self.data());
        let reader = Worker::start(&follow, self.folder.join("reader.log"));
        sleep(Duration::from_millis(after_ms));
        reader.signal("STOP");
        sleep(Duration::from_millis(ms));
        reader.signal("CONT");
        self.reader = Some(reader);
    }

    fn end_reader(&mut self) {
        self.reader = None;
    }

    fn read(&self, folder: &Folder, topic: &str) -> Vec<Record> {
        let Some(topic) = folder.topic(topic).unwrap() else { return Vec::new() };
        let partition = |partition| folder.read(&topic, partition, 0, MESSAGES_MAX, usize::MAX).unwrap();
        let messages = (0..topic.partitions).flat_map(partition);
        let record = |message: millrace_embedded::Message| Record {
            partition: message.partition,
            offset: message.offset,
            value: message.value.unwrap_or_default(),
        };
        messages.map(record).collect()
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let directory = self.data().join("hdfs").join(self.pipeline.directory().trim_start_matches('/'));
        let entries = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
        files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
    }
}

impl World for Embedded {
    type Fault = Fault;
    const PARTITIONS: u64 = PARTITIONS as u64;
    const MESSAGES_MAX: u64 = 120;
    const TOLD_EVERY: u64 = 50;

    fn draw(&self, random: &mut Random) -> Fault {
        match random.below(20) {
            0..=4 => Fault::Kill,
            5..=6 => Fault::KillStarting((0..random.within(1, 3)).map(|_| random.within(0, 400)).collect()),
            7..=8 => Fault::Freeze { ms: random.within(10, 300) },
            9 => Fault::Terminate,
            10 => Fault::TerminateTwice,
            11..=12 => Fault::Redeploy { kill: random.below(2) == 0 },
            13 => Fault::Workers(random.within(1, PARTITIONS as u64)),
            14..=15 => Fault::DiskFull { ms: random.within(10, 400) },
            16 => Fault::DiskReadOnly,
            17 => Fault::KillWriting { bytes: random.within(1, 400_000) },
            18 => Fault::SecondProcess,
            _ => Fault::FrozenReader { after_ms: random.within(0, 60), ms: random.within(10, 400) },
        }
    }

    fn kind(&self, fault: &Fault) -> &'static str {
        match fault {
            Fault::Kill => "kill -9",
            Fault::KillStarting(_) => "kill -9 while it starts",
            Fault::Freeze { .. } => "SIGSTOP, SIGCONT",
            Fault::Terminate => "SIGTERM",
            Fault::TerminateTwice => "SIGTERM twice",
            Fault::Redeploy { .. } => "redeploy",
            Fault::Workers(_) => "another number of workers",
            Fault::DiskFull { .. } => "disk full",
            Fault::DiskReadOnly => "disk read-only",
            Fault::KillWriting { .. } => "killed by a write beyond a limit",
            Fault::SecondProcess => "second process on the folder",
            Fault::FrozenReader { .. } => "reader frozen",
        }
    }

    fn is_kill(fault: &Fault) -> bool {
        matches!(fault, Fault::Kill)
    }

    fn start(&mut self) -> Result<(), String> {
        self.worker = Some(self.run());
        Ok(())
    }

    fn produce(&mut self, partition: i32, messages: &[Vec<u8>]) -> Result<(), String> {
        let mut folder = self.open();
        let mut transaction = folder.begin().map_err(|error| error.to_string())?;
        let topic = transaction.topic(&self.topic(), PARTITIONS, MESSAGES_MAX as u64).unwrap();
        let records = messages.iter().map(|value| Sent { value: Some(value), ..Sent::default() });
        transaction.append(&topic, partition, records).map_err(|error| error.to_string())?;
        transaction.commit().map_err(|error| error.to_string())
    }

    fn records(&mut self) -> Option<usize> {
        let folder = self.open();
        let count = |topic: &str| {
            let Some(topic) = folder.topic(topic).unwrap() else { return 0 };
            (0..topic.partitions).map(|partition| folder.extent(&topic, partition).unwrap().end as usize).sum()
        };
        let rejected = match self.pipeline.variant.rejects_are_documents {
            true => folder.documents(&self.pipeline.rejects()).unwrap().len(),
            false => count(&self.pipeline.topic("rejected")),
        };
        Some(count(&self.pipeline.topic("response")) + rejected)
    }

    fn act(&mut self, fault: &Fault, _feed: &mut Feed, timeline: &mut Timeline) -> Result<(), String> {
        match fault {
            Fault::Kill => {
                self.kill();
                self.start()
            }
            Fault::KillStarting(times) => {
                for ms in times {
                    self.kill();
                    self.start()?;
                    sleep(Duration::from_millis(*ms));
                }
                self.kill();
                self.start()
            }
            Fault::Freeze { ms } => {
                self.worker().signal("STOP");
                sleep(Duration::from_millis(*ms));
                self.worker().signal("CONT");
                Ok(())
            }
            Fault::Terminate => {
                self.worker().terminate(1, &[0])?;
                self.start()
            }
            Fault::TerminateTwice => {
                self.worker().terminate(2, &[0, 130])?;
                self.start()
            }
            Fault::Redeploy { kill } => self.redeploy(*kill),
            Fault::Workers(workers) => {
                self.worker().terminate(1, &[0])?;
                self.workers = *workers;
                self.start()
            }
            Fault::DiskFull { ms } => self.fill_disk(*ms),
            Fault::DiskReadOnly => self.start_read_only(),
            Fault::KillWriting { bytes } => self.limit(*bytes, timeline),
            Fault::SecondProcess => self.second_process(),
            Fault::FrozenReader { after_ms, ms } => {
                self.freeze_reader(*after_ms, *ms);
                Ok(())
            }
        }
    }

    fn heal(&mut self) -> Result<(), String> {
        self.end_reader();
        Ok(())
    }

    fn must_run(&mut self) -> Result<(), String> {
        // it met the limit before that was raised
        if self.worker().ended().is_some_and(|status| status.signal() == Some(SIGXFSZ)) {
            return self.start();
        }
        self.worker().must_run()
    }

    fn observe(&mut self) -> Option<Observed> {
        let (folder, collection) = (self.open(), self.pipeline.collection());
        let json = |(id, text): (String, String)| (id, serde_json::from_str(&text).unwrap_or_default());
        let rejects = match self.pipeline.variant.rejects_are_documents {
            true => of_documents(folder.documents(&self.pipeline.rejects()).unwrap().into_iter().map(json)),
            false => self.read(&folder, &self.pipeline.topic("rejected")),
        };
        Some(Observed {
            documents_of: self.pipeline.variant.documents_of,
            responses: self.read(&folder, &self.pipeline.topic("response")),
            rejects,
            documents: folder.documents(&collection).unwrap().into_iter().map(json).collect(),
            files: self.files(),
            log: self.read(&folder, &self.topic()),
        })
    }

    fn topic(&self) -> String {
        self.pipeline.topic("request")
    }

    fn deployed(&self) -> BTreeSet<i64> {
        self.pipeline.deployed()
    }

    fn drain(&mut self) -> Result<(), String> {
        self.worker().terminate(1, &[0])
    }
}
