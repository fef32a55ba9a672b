//! `millrace consume`: messages of a topic as lines of standard output, oldest first, committed ones only.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use millrace::kafka;
use millrace_embedded::Folder;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::ground::Ground;

const TIMEOUT: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_millis(500);
const READ_ROWS_MAX: usize = 1_000;
const READ_BYTES_MAX: usize = 4 << 20;

#[derive(Args)]
#[command(after_help = "Examples:\n  millrace consume flight-delay-ml-response --follow\n  \
    millrace consume flight-delay-ml-rejected --from 100 --positions --embedded .millrace/embedded")]
pub struct Options {
    topic: String,
    #[command(flatten)]
    ground: Ground,
    /// Where to begin in each partition: earliest, latest, or an offset
    #[arg(long, default_value = "earliest", value_name = "WHERE")]
    from: From,
    /// Go on waiting for new messages instead of ending with the last
    #[arg(long)]
    follow: bool,
    /// Write partition:offset and a tab before each message
    #[arg(long)]
    positions: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Earliest,
    Latest,
    Offset(i64),
}

impl std::str::FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<From, String> {
        match text {
            "earliest" => Ok(From::Earliest),
            "latest" => Ok(From::Latest),
            number => match number.parse() {
                Ok(offset) if offset >= 0 => Ok(From::Offset(offset)),
                _ => Err("expected earliest, latest, or an offset from 0 on".into()),
            },
        }
    }
}

pub fn run(options: &Options) -> Result<(), String> {
    let read = match &options.ground.embedded {
        Some(folder) => embedded(options, folder),
        None => brokers(options),
    };
    match read {
        // who reads our output has seen enough
        Err(Failed::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(Failed::Output(error)) => Err(format!("error: writing to standard output: {error}")),
        Err(Failed::Topic(said)) => Err(format!("error: topic `{}`: {said}", options.topic)),
        Ok(()) => Ok(()),
    }
}

enum Failed {
    Output(io::Error),
    Topic(String),
}

fn topic(error: impl ToString) -> Failed {
    Failed::Topic(error.to_string())
}

fn line(options: &Options, partition: i32, offset: i64, value: Option<&[u8]>) -> Result<(), Failed> {
    let mut out = io::stdout().lock();
    let position = if options.positions { write!(out, "{partition}:{offset}\t") } else { Ok(()) };
    let value = value.unwrap_or(b"null");
    position.and_then(|()| out.write_all(value)).and_then(|()| out.write_all(b"\n")).map_err(Failed::Output)
}

fn embedded(options: &Options, path: &Path) -> Result<(), Failed> {
    if !Folder::is_one(path) {
        return Err(topic(format!("{} is no embedded folder", path.display())));
    }
    let folder = Folder::open(path).map_err(topic)?;
    let mut wake = folder.wake().map_err(topic)?;
    let found = folder.topic(&options.topic).map_err(topic)?;
    let found = found.ok_or_else(|| topic("it is not there"))?;
    let mut next = BTreeMap::new();
    for partition in 0..found.partitions {
        let extent = folder.extent(&found, partition).map_err(topic)?;
        next.insert(
            partition,
            match options.from {
                From::Earliest => extent.first,
                From::Latest => extent.end,
                From::Offset(offset) => offset.max(extent.first),
            },
        );
    }
    loop {
        let mut any = false;
        for (&partition, next) in &mut next {
            let messages = folder.read(&found, partition, *next, READ_ROWS_MAX, READ_BYTES_MAX).map_err(topic)?;
            for message in messages {
                line(options, partition, message.offset, message.value.as_deref())?;
                *next = message.offset + 1;
                any = true;
            }
        }
        if !any && !options.follow {
            return Ok(());
        }
        if !any {
            wake.wait(WAIT);
        }
    }
}

fn brokers(options: &Options) -> Result<(), Failed> {
    let mut config = kafka::client_config(&options.ground.brokers, "millrace-consume");
    config
        // never joined: offsets are this command's own
        .set("group.id", "millrace-consume")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true");
    let consumer: BaseConsumer<kafka::Quiet> = config.create_with_context(kafka::Quiet).map_err(topic)?;
    let mut open = assign(options, &consumer)?;
    while options.follow || !open.is_empty() {
        match consumer.poll(WAIT) {
            Some(Ok(message)) => line(options, message.partition(), message.offset(), message.payload())?,
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(error)) => return Err(topic(error)),
            None => {}
        }
    }
    Ok(())
}

/// The partitions, none of them read to its end.
fn assign(options: &Options, consumer: &BaseConsumer<kafka::Quiet>) -> Result<BTreeSet<i32>, Failed> {
    let metadata = consumer.fetch_metadata(Some(&options.topic), TIMEOUT).map_err(topic)?;
    let partitions = metadata.topics().iter().find(|found| found.name() == options.topic);
    let partitions: BTreeSet<_> =
        partitions.into_iter().flat_map(|found| found.partitions()).map(|partition| partition.id()).collect();
    if partitions.is_empty() {
        return Err(topic(format!("it is not there, at {}", options.ground.brokers)));
    }
    let from = match options.from {
        From::Earliest => Offset::Beginning,
        From::Latest => Offset::End,
        From::Offset(offset) => Offset::Offset(offset),
    };
    let mut list = TopicPartitionList::new();
    for partition in &partitions {
        list.add_partition_offset(&options.topic, *partition, from).map_err(topic)?;
    }
    consumer.assign(&list).map_err(topic)?;
    Ok(partitions)
}
