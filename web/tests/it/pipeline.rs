//! A pipeline's status API: one that a test plays, and the real program beside these tests.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Answers what it is told to.
pub struct Played {
    pub address: SocketAddr,
    said: Arc<Said>,
    serving: JoinHandle<()>,
}

struct Said {
    status: Mutex<Value>,
    asked: AtomicUsize,
}

impl Played {
    pub async fn new(status: Value) -> Played {
        let said = Arc::new(Said { status: Mutex::new(status), asked: AtomicUsize::new(0) });
        let routes = Router::new().route("/status", get(answer)).with_state(said.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Played { address, said, serving: tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn say(&self, status: Value) {
        *self.said.status.lock().unwrap() = status;
    }

    pub fn asked(&self) -> usize {
        self.said.asked.load(Ordering::Relaxed)
    }

    pub async fn go_away(self) {
        self.serving.abort();
        assert!(self.serving.await.unwrap_err().is_cancelled());
    }
}

async fn answer(State(said): State<Arc<Said>>) -> String {
    said.asked.fetch_add(1, Ordering::Relaxed);
    said.status.lock().unwrap().to_string()
}

/// As the runtime's `/status` has it (docs/metrics.md).
pub fn status(worker: Value) -> Value {
    json!({
        "pipeline": "flight-delay", "generation": "2f6b1c09d4e7", "version": "0.1.0", "host": "mill", "started": 0,
        "ready": true, "workers": { "0": worker },
        "sinks": {
            "responses": { "kind": "kafka", "positions": { "0": 40, "1": 38 }, "behind": 0 },
            "store": { "kind": "mongodb", "positions": { "0": 40, "1": 38 }, "behind": 0 },
            "archive": { "kind": "hdfs", "positions": { "0": 36, "1": 34 }, "behind": 8 },
        },
        "rejects": { "features/bad_delay": 2, "source/not_json": 1 },
    })
}

pub fn running(lag: Value) -> Value {
    let partitions = json!({ "0": { "head": 40, "lag": lag }, "1": { "head": 38, "lag": 0 } });
    status(json!({ "state": "running", "since": 0, "partitions": partitions }))
}

pub fn waiting(why: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    status(json!({ "state": "waiting", "detail": why, "since": now - 600, "partitions": {} }))
}

/// It runs, and one of its sinks is down, another catches up.
pub fn partly(why: &str) -> Value {
    let mut status = running(json!(0));
    status["sinks"]["store"]["behind"] = json!(41);
    status["sinks"]["store"]["workers"] = json!({ "0": { "state": "down", "why": why, "next_try": 5, "since": 0 } });
    let catching = json!({ "state": "catching_up", "behind": 8, "rows_per_second": 4.0, "done_in_seconds": 2.0 });
    status["sinks"]["archive"]["workers"] = json!({ "0": catching });
    status
}

/// It runs, but its head waits for a sink that never opened.
pub fn held(why: &str) -> Value {
    let mut status = running(json!(7));
    status["workers"]["0"]["head_waits_for"] = json!(["store"]);
    status["sinks"]["store"] = json!({
        "kind": "mongodb", "positions": {}, "behind": null,
        "workers": { "0": { "state": "down", "why": why, "next_try": 5, "since": 0 } },
    });
    status
}

/// The shipped pipeline on a folder, by the program that `cargo build` made beside these tests.
pub struct Real {
    process: Child,
    pub address: SocketAddr,
    pub folder: PathBuf,
}

impl Real {
    pub fn start(test: &str) -> Real {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
        drop(std::fs::remove_dir_all(&folder));
        // nobody's at this moment
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = program();
        let mut process = Command::new(&program)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
            .args(["run", "pipelines/flight-delay.toml", "--listen", &free.to_string(), "--embedded"])
            .arg(&folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; build it first: ./dev build", program.display()));
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let said: Vec<_> = lines.by_ref().take_while(|line| !line.contains("positions read")).collect();
        assert!(process.try_wait().unwrap().is_none(), "{said:?}");
        // what it says later is nobody's, and must not stop it
        std::thread::spawn(move || lines.for_each(drop));
        Real { process, address: free, folder }
    }

    /// SIGTERM, and a good end.
    pub fn drain(mut self) {
        assert!(terminate(self.process.id()) && self.process.wait().unwrap().success());
    }
}

/// What `cargo build` made beside these tests.
pub fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(2).unwrap().join("millrace")
}

/// SIGTERM, by the shell's own `kill`: the program of that name is a package that a bare machine lacks.
pub fn terminate(id: u32) -> bool {
    Command::new("sh").args(["-c", &format!("kill {id}")]).status().unwrap().success()
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
