//! A directory on a NameNode, and the same on a disk.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hdfs_native::{Client, ClientBuilder, HdfsError};
use serde::de::DeserializeOwned;

use super::super::rows::{Row, batch};
use super::super::{Nobody, SHORT, fresh_folder, impossible_folder, setting};
use super::{Context, Medium, Unreachable, assert_exactly, bring, context, must_be_retry, open, starts};
use crate::error::{Kind, Result};
use crate::plan::HdfsPlan;
use crate::sink::hdfs::{self, Writer};
use crate::sink::{Start, Starts, Writer as _};

pub struct NameNode {
    context: Context,
}

pub struct Local {
    context: Context,
    root: PathBuf,
}

fn directory(context: &Context) -> String {
    format!("/millrace-test/{}", context.pipeline)
}

/// Files of a few rows, none of which is rolled by time.
fn plan(directory: String, uri: String) -> HdfsPlan {
    HdfsPlan {
        properties: Default::default(),
        uri,
        user: None,
        directory,
        roll_rows_max: 5,
        roll_bytes_max: 1 << 30,
        roll_max: Duration::from_secs(3600),
    }
}

fn lines_of<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Vec<T> {
    assert!(bytes.ends_with(b"\n"), "{file} ends within a line");
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// Of every published file of a folder.
pub fn lines_of_a_disk<T: DeserializeOwned>(directory: &Path) -> Vec<T> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    files.flat_map(|file| lines_of(&file.display().to_string(), &std::fs::read(&file).unwrap())).collect()
}

impl NameNode {
    fn client() -> Client {
        ClientBuilder::new().with_url(setting("HDFS_URI")).build().unwrap()
    }

    /// Of every published file of a directory.
    pub async fn lines<T: DeserializeOwned>(directory: &str) -> Vec<T> {
        let client = NameNode::client();
        let entries = match client.list_status(directory, false).await {
            Ok(entries) => entries,
            Err(HdfsError::FileNotFound(_)) => return Vec::new(),
            Err(error) => panic!("{directory}: {error}"),
        };
        let mut lines = Vec::new();
        for file in entries.into_iter().filter(|entry| !entry.isdir) {
            let mut reader = client.read(&file.path).await.unwrap();
            let bytes = reader.read_bytes(reader.file_length()).await.unwrap();
            lines.extend(lines_of::<T>(&file.path, &bytes));
        }
        lines
    }
}

impl Medium for NameNode {
    type Writer = Writer;

    async fn fresh() -> NameNode {
        NameNode { context: context() }
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn writer(&self, context: Context) -> Result<Writer> {
        Writer::new(context, &plan(directory(&self.context), setting("HDFS_URI")))
    }

    async fn published(&self) -> Vec<Row> {
        NameNode::lines(&directory(&self.context)).await
    }

    fn unreachable() -> Vec<Unreachable<Writer>> {
        let gone = |by: Nobody| {
            let context = Context { timeout: SHORT, ..context() };
            let plan = plan(directory(&context), format!("hdfs://{}", by.address));
            let writer = Writer::new(context, &plan).unwrap();
            Unreachable { writer, address: by.address.clone(), _by: Box::new(by) as Box<dyn Any> }
        };
        Nobody::each().into_iter().map(gone).collect()
    }
}

impl Medium for Local {
    type Writer = Writer<hdfs::Local>;

    async fn fresh() -> Local {
        Local { context: context(), root: fresh_folder() }
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn writer(&self, context: Context) -> Result<Self::Writer> {
        Writer::in_folder(context, &plan(directory(&self.context), String::new()), self.root.clone())
    }

    async fn published(&self) -> Vec<Row> {
        let directory = self.root.join(directory(&self.context).trim_start_matches('/'));
        lines_of_a_disk(&directory)
    }

    fn unreachable() -> Vec<Unreachable<Self::Writer>> {
        let (context, root) = (context(), impossible_folder());
        let writer = Writer::in_folder(context.clone(), &plan(directory(&context), String::new()), root.clone());
        vec![Unreachable { writer: writer.unwrap(), address: root.display().to_string(), _by: Box::new(()) }]
    }
}

/// The token directory was deleted, and the files are there.
async fn stops_without_its_token<M: Medium>(medium: M, tokens_gone: impl AsyncFnOnce(&M)) {
    bring(&medium, 0, 4).await;
    tokens_gone(&medium).await;
    let mut writer = medium.writer(medium.context().clone()).unwrap();
    let error = writer.open(&starts(0)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Stop, "{error}");
    assert!(error.to_string().contains("up to offset 3, but there is no position"), "{error}");
    assert_exactly(&medium, 0, 4).await;
}

/// Others took the partition, or the whole directory was moved away and comes back: each is said as what it is.
async fn says_where_its_directory_went<M: Medium>(medium: M, rename: impl AsyncFn(&M, &str, &str)) {
    let here = directory(medium.context());
    let away = format!("{here}-away");
    bring(&medium, 0, 4).await;
    let (mut fenced, _) = open(&medium, 0).await;
    fenced.write(batch(0, 4..6)).await.unwrap();
    let (mut writer, _) = open(&medium, 0).await;
    let error = fenced.finish().await.unwrap_err();
    must_be_retry(&error);
    assert!(error.to_string().contains("another writer took the partition"), "{error}");
    writer.write(batch(0, 4..6)).await.unwrap();
    rename(&medium, &here, &away).await;
    let error = writer.finish().await.unwrap_err();
    must_be_retry(&error);
    assert!(error.to_string().contains("it was moved or deleted"), "{error}");
    let stood = Starts::from([(0, Start::Stood(4))]);
    for _ in 0..2 {
        let error = medium.writer(medium.context().clone()).unwrap().open(&stood).await.unwrap_err();
        must_be_retry(&error);
        assert!(error.to_string().contains(&format!("{here}/_millrace")), "{error}");
    }
    // only where nothing was made in its place
    rename(&medium, &away, &here).await;
    let mut writer = medium.writer(medium.context().clone()).unwrap();
    assert_eq!(writer.open(&stood).await.unwrap()[&0], 4);
    bring(&medium, 0, 9).await;
    assert_exactly(&medium, 0, 9).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_a_name_node_that_is_moved_away_is_waited_for() {
    let rename = async |_: &NameNode, from: &str, to: &str| NameNode::client().rename(from, to, false).await.unwrap();
    says_where_its_directory_went(NameNode::fresh().await, rename).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_a_disk_that_is_moved_away_is_waited_for() {
    let rename = async |medium: &Local, from: &str, to: &str| {
        let [from, to] = [from, to].map(|path| medium.root.join(path.trim_start_matches('/')));
        assert!(!to.exists());
        std::fs::rename(from, to).unwrap();
    };
    says_where_its_directory_went(Local::fresh().await, rename).await;
}

fn tokens(context: &Context) -> String {
    format!("{}/_millrace/{}-s", directory(context), context.pipeline)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_on_a_name_node_without_their_token_stop_it() {
    let delete = async |medium: &NameNode| {
        assert!(NameNode::client().delete(&tokens(&medium.context), true).await.unwrap());
    };
    stops_without_its_token(NameNode::fresh().await, delete).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_on_a_disk_without_their_token_stop_it() {
    let delete = async |medium: &Local| {
        let tokens = tokens(&medium.context);
        std::fs::remove_dir_all(medium.root.join(tokens.trim_start_matches('/'))).unwrap();
    };
    stops_without_its_token(Local::fresh().await, delete).await;
}
