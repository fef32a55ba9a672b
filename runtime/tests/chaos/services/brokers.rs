//! The brokers that a schedule is on: one, or a cluster of three, whose leaders move. A wire stands before each.

use std::net::TcpListener;
use std::sync::LazyLock;

use super::{service, setting};
use crate::wire::{State, Wire};

/// What a topic has a copy on, and how `services/run` names them.
pub struct Brokers {
    pub names: &'static [&'static str],
    /// Without wires.
    pub addresses: String,
    wires: &'static [Wire],
}

/// They stand as long as the process does: a broker tells its clients one address.
static ONE: LazyLock<Vec<Wire>> = LazyLock::new(|| wires("KAFKA_WIRED", "KAFKA_WIRE"));
static THREE: LazyLock<Vec<Wire>> = LazyLock::new(|| wires("KAFKA_THREE_WIRED", "KAFKA_THREE_WIRE"));

/// From where the brokers say that they are to where they listen.
fn wires(said: &str, listens: &str) -> Vec<Wire> {
    let (said, listens) = (setting(said), setting(listens));
    let bound = |said| TcpListener::bind(said).expect("the address that a broker tells its clients");
    said.split(',').zip(listens.split(',')).map(|(said, listens)| Wire::on(bound(said), listens.to_owned())).collect()
}

impl Brokers {
    pub fn one() -> Brokers {
        Brokers { names: &["kafka"], addresses: setting("KAFKA_BROKERS"), wires: &ONE }
    }

    /// They are up when this returns.
    pub fn three() -> Brokers {
        service("start", "brokers").unwrap();
        Brokers { names: &["kafka1", "kafka2", "kafka3"], addresses: setting("KAFKA_THREE_BROKERS"), wires: &THREE }
    }

    /// Through the wires.
    pub fn wired(&self) -> String {
        let addresses: Vec<_> = self.wires.iter().map(|wire| wire.address.as_str()).collect();
        addresses.join(",")
    }

    pub fn copies(&self) -> i32 {
        self.names.len() as i32
    }

    pub fn set(&self, state: State) {
        for wire in self.wires {
            if matches!(state, State::Cut) { wire.cut() } else { wire.set(state) }
        }
    }
}
