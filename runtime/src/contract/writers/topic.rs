//! A topic, with positions in a group of the sink's own.

use tokio::task::block_in_place;

use super::super::logs::{ALL, Logs};
use super::super::rows::Row;
use super::{Context, Medium, Unreachable, context};
use crate::error::Result;
use crate::sink::topic::Writer;

/// Of the source; more than any case uses.
const PARTITIONS: i32 = 12;

pub struct Topic<L: Logs> {
    /// Dropped where blocking is allowed.
    logs: Option<L>,
    context: Context,
}

impl<L: Logs> Topic<L> {
    pub fn logs(&self) -> &L {
        self.logs.as_ref().expect("held until the end")
    }

    pub fn name(&self) -> String {
        format!("{}-out", self.logs().plan().group)
    }

    /// Values, as they are committed.
    pub fn values(&self) -> Vec<Vec<u8>> {
        let values = block_in_place(|| self.logs().read(&self.name()));
        values.into_iter().map(|(_key, value)| value).collect()
    }
}

impl<L: Logs> Drop for Topic<L> {
    fn drop(&mut self) {
        block_in_place(|| drop(self.logs.take()));
    }
}

impl<L: Logs> Medium for Topic<L> {
    type Writer = Writer;

    const TEXT_BYTES_LARGE: usize = 900_000;
    const TEXT_BYTES_REFUSED: Option<usize> = Some(11_000_000);
    const IS_ANYBODYS: bool = true;

    async fn fresh() -> Topic<L> {
        let mut context = context();
        let logs = block_in_place(|| {
            let logs = L::fresh();
            logs.make_topic(&logs.plan().topic, PARTITIONS, ALL);
            logs.make_topic(&format!("{}-out", logs.plan().group), 1, ALL);
            logs
        });
        context.log.topic.clone_from(&logs.plan().topic);
        Topic { logs: Some(logs), context }
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn writer(&self, context: Context) -> Result<Writer> {
        Ok(Writer::new(context, &self.logs().ground(), self.logs().plan(), &self.name()))
    }

    async fn published(&self) -> Vec<Row> {
        self.values().iter().map(|value| serde_json::from_slice(value).unwrap()).collect()
    }

    fn unreachable() -> Vec<Unreachable<Writer>> {
        let gone = |gone: super::super::logs::Unreachable| {
            let writer = Writer::new(context(), &gone.ground, &gone.plan, "nowhere");
            Unreachable { writer, address: gone.address, _by: gone.by }
        };
        L::unreachable().into_iter().map(gone).collect()
    }
}
