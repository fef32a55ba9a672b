//! Into a topic of an embedded folder.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use millrace_embedded::{Folder, Record, TOPIC_ROWS_MAX, now_ms};
use tokio::task::spawn_blocking;

use crate::error::{Error, Result};

pub struct Embedded {
    folder: Arc<Mutex<Folder>>,
    topic: String,
}

impl Embedded {
    pub fn new(folder: &Path, topic: &str) -> Result<Embedded> {
        let opened = Folder::open(folder).map_err(|cause| Error::new(format!("topic `{topic}`")).caused_by(cause))?;
        Ok(Embedded { folder: Arc::new(Mutex::new(opened)), topic: topic.into() })
    }

    pub async fn send(&self, key: &str, value: &[u8], headers: &[(String, Vec<u8>)]) -> Result<()> {
        let (folder, topic) = (self.folder.clone(), self.topic.clone());
        let (key, value, headers) = (key.to_owned(), value.to_owned(), headers.to_owned());
        let failed = || Error::new(format!("topic `{}`", self.topic));
        let sent = spawn_blocking(move || {
            append(&mut folder.lock().unwrap_or_else(PoisonError::into_inner), &topic, &key, &value, &headers)
        });
        let sent = sent.await.map_err(|cause| failed().caused_by(cause))?;
        sent.map_err(|cause| failed().caused_by(cause))
    }
}

fn append(
    folder: &mut Folder,
    topic: &str,
    key: &str,
    value: &[u8],
    headers: &[(String, Vec<u8>)],
) -> millrace_embedded::Result<()> {
    let mut transaction = folder.begin()?;
    let topic = transaction.topic(topic, 1, TOPIC_ROWS_MAX)?;
    // in turn, by what is random in the key
    let partition = key.bytes().map(i32::from).sum::<i32>() % topic.partitions.max(1);
    let record = Record { timestamp_ms: now_ms(), key: Some(key.as_bytes()), value: Some(value), headers };
    transaction.append(&topic, partition, [record])?;
    transaction.commit()
}
