//! Topics of an embedded folder.

use std::path::PathBuf;

use millrace_embedded::{Folder, Offset, Record, Topic};

use super::super::{fresh_folder, fresh_name, impossible_folder};
use super::{Keyed, Logs, Message, Unreachable, plan};
use crate::ground::Ground;
use crate::plan::{GroupProtocol, SourcePlan};
use crate::source::Committed;

pub struct Embedded {
    folder: PathBuf,
    plan: SourcePlan,
}

impl Embedded {
    fn open(&self) -> Folder {
        Folder::open(&self.folder).unwrap()
    }

    fn topic(&self, topic: &str) -> Topic {
        self.open().topic(topic).unwrap().expect("a topic that was made")
    }
}

fn nowhere(name: &str) -> SourcePlan {
    plan("nobody asks for brokers".into(), name, GroupProtocol::Consumer)
}

impl Logs for Embedded {
    const MAKES_TOPICS: bool = true;
    const GROWS: bool = false;
    const RECORD_BYTES_MAX: usize = 1_000_000;

    fn fresh() -> Embedded {
        Embedded { folder: fresh_folder(), plan: nowhere(&fresh_name()) }
    }

    fn ground(&self) -> Ground {
        Ground::Embedded(self.folder.clone())
    }

    fn plan(&self) -> &SourcePlan {
        &self.plan
    }

    fn make_topic(&self, topic: &str, partitions: i32, rows_max: u64) {
        let mut folder = self.open();
        let mut transaction = folder.begin().unwrap();
        assert_eq!(transaction.topic(topic, partitions, rows_max).unwrap().partitions, partitions);
        transaction.commit().unwrap();
    }

    fn delete_topic(&self, topic: &str) {
        let (mut folder, topic) = (self.open(), self.topic(topic));
        let mut transaction = folder.begin().unwrap();
        transaction.delete_topic(&topic).unwrap();
        transaction.commit().unwrap();
    }

    fn grow_topic(&self, topic: &str, partitions: i32) {
        panic!("`{topic}` cannot get {partitions} partitions");
    }

    fn drop_below(&self, topic: &str, partition: i32, first: i64) {
        assert_eq!(self.open().extent(&self.topic(topic), partition).unwrap().first, first);
    }

    fn produce(&self, topic: &str, partition: i32, messages: &[Message]) {
        let (mut folder, topic) = (self.open(), self.topic(topic));
        let owned = |(name, value): &(&str, Vec<u8>)| ((*name).to_owned(), value.clone());
        let headers: Vec<Vec<_>> = messages.iter().map(|message| message.headers.iter().map(owned).collect()).collect();
        let records = messages.iter().zip(&headers).map(|(message, headers)| Record {
            timestamp_ms: message.timestamp_ms,
            key: message.key.as_deref(),
            value: message.value.as_deref(),
            headers,
        });
        let mut transaction = folder.begin().unwrap();
        transaction.append(&topic, partition, records).unwrap();
        transaction.commit().unwrap();
    }

    fn read(&self, topic: &str) -> Vec<Keyed> {
        let folder = self.open();
        let Some(topic) = folder.topic(topic).unwrap() else { return Vec::new() };
        let messages = folder.read(&topic, 0, 0, usize::MAX >> 1, usize::MAX).unwrap();
        messages.into_iter().map(|message| (message.key, message.value.unwrap())).collect()
    }

    fn commit(&self, partition: i32, offset: i64, metadata: &str) {
        let (mut folder, topic) = (self.open(), self.topic(&self.plan.topic));
        let mut transaction = folder.begin().unwrap();
        let stands = transaction.offset(&self.plan.group, &topic, partition).unwrap().map(|offset| offset.next);
        let to = Offset { next: offset, metadata: metadata.into() };
        transaction.move_offset(&self.plan.group, &topic, partition, stands, &to).unwrap();
        transaction.commit().unwrap();
    }

    fn committed(&self, partition: i32) -> Committed {
        let (mut folder, topic) = (self.open(), self.topic(&self.plan.topic));
        let found = folder.begin().unwrap().offset(&self.plan.group, &topic, partition).unwrap();
        let (offset, metadata) = found.map_or((None, String::new()), |found| (Some(found.next), found.metadata));
        Committed { offset, metadata }
    }

    fn unreachable() -> Vec<Unreachable> {
        let folder = impossible_folder();
        let address = folder.display().to_string();
        let plan = nowhere(&fresh_name());
        vec![Unreachable { ground: Ground::Embedded(folder), plan, address, by: Box::new(()) }]
    }
}
