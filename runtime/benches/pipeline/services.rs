//! On real services.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::process::Process;
use crate::rig::Rig;
use crate::{Ground, bare, load};

impl Ground for Rig {
    const NAME: &str = "Kafka, MongoDB and HDFS";
    const TRANSACTIONS: &str = "";

    fn fresh(test: &str) -> Rig {
        Rig::new(test, 1)
    }

    fn toml(&mut self) -> &mut String {
        &mut self.toml
    }

    fn produce(&self, messages: &[Vec<u8>]) {
        Rig::produce(self, messages);
    }

    fn start(&self) -> Process {
        Rig::start(self)
    }

    fn bare(&self, rows_max: usize, wait: Duration) -> Arc<AtomicBool> {
        bare::spawn(self, rows_max, wait)
    }

    fn rate(&self, rows: usize) -> f64 {
        load::rate(self, rows)
    }

    fn pace(&self, time: Duration) -> Vec<f64> {
        load::pace(self, time)
    }
}
