//! A client that lost its brokers is told of them again.
//!
//! A broker that was away answers for a moment that the cluster has no broker, itself included. librdkafka forgets those
//! that an answer does not name, and begins again with `bootstrap.servers`; but that beginning is called off by the very
//! answer that made it necessary, unless it was quicker (librdkafka 2.12, its issue 5301). Then the client asks nobody any
//! more, for ever, and says nothing.
//!
//! Invariant: while there are clients one thread looks at them, and sends nothing. Who drops a client leaves first, so that
//! the last one to hold it is its owner. What is seen is whether brokers name a controller: where they never do nothing is
//! done, and where none is elected for a while a client is told of what it knows, which does no harm.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::client::Client;

const LOOK_AFTER: Duration = Duration::from_secs(1);
/// Brokers may be away for longer: each time librdkafka keeps the addresses once more.
const PAUSE_MAX: Duration = Duration::from_secs(60);

static WATCH: Watch = Watch { state: Mutex::new(State::new()), changed: Condvar::new() };

struct Watch {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    clients: BTreeMap<u64, Watched>,
    next_client: u64,
    is_watched: bool,
}

struct Watched {
    client: Weak<dyn Client>,
    addresses: String,
    sight: Sight,
}

/// A client's place among those that are looked at, until it is dropped.
pub struct Place(u64);

impl Drop for Place {
    fn drop(&mut self) {
        WATCH.state().clients.remove(&self.0);
        WATCH.changed.notify_all();
    }
}

/// `addresses`: those that the client began with.
pub fn enter(client: Weak<dyn Client>, addresses: String) -> Place {
    let mut state = WATCH.state();
    let place = state.next_client;
    state.next_client += 1;
    state.clients.insert(place, Watched { client, addresses, sight: Sight::Unknown });
    if !state.is_watched {
        let spawned = std::thread::Builder::new().name("brokers".into()).spawn(|| WATCH.look());
        match spawned {
            Ok(_) => state.is_watched = true,
            Err(cause) => tracing::warn!("clients that lose their brokers are not told of them again: {cause}"),
        }
    }
    Place(place)
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the last client is gone.
    fn look(&self) {
        let mut state = self.state();
        let mut next = Instant::now() + LOOK_AFTER;
        while !state.clients.is_empty() {
            let left = next.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            state.clients.values_mut().for_each(|watched| watched.look(Instant::now()));
            next = Instant::now() + LOOK_AFTER;
        }
        state.is_watched = false;
    }
}

impl State {
    const fn new() -> State {
        State { clients: BTreeMap::new(), next_client: 0, is_watched: false }
    }
}

impl Watched {
    fn look(&mut self, now: Instant) {
        let Some(client) = self.client.upgrade() else { return };
        let Some(told) = self.sight.look(client.native().knows_brokers(), now) else { return };
        if told == 0 {
            let addresses = &self.addresses;
            tracing::warn!("the brokers told a client that there are none: it asks those at {addresses} again");
        }
        client.native().tell_of(&self.addresses);
    }
}

/// What was seen of one client.
#[derive(Debug, PartialEq, Eq)]
enum Sight {
    /// It has not heard of any broker yet, and keeps those that it began with.
    Unknown,
    Known,
    /// It was told again so many times, and is once more by then.
    Lost {
        told: u32,
        until: Instant,
    },
}

impl Sight {
    /// Is it to be told of the brokers, and how often was it, since it lost them? Not with the first look, for it may be
    /// finding them by itself.
    fn look(&mut self, knows: bool, now: Instant) -> Option<u32> {
        let lost = |told| Sight::Lost { told, until: now + pause(told) };
        match *self {
            _ if knows => *self = Sight::Known,
            Sight::Unknown => {}
            Sight::Known => *self = lost(0),
            Sight::Lost { until, .. } if now < until => {}
            Sight::Lost { told, .. } => {
                *self = lost(told.saturating_add(1));
                return Some(told);
            }
        }
        None
    }
}

fn pause(told: u32) -> Duration {
    LOOK_AFTER.saturating_mul(1 << told.min(10)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lost_its_brokers_is_told_again_and_again_and_less_and_less_often() {
        let (mut lost, began) = (Sight::Unknown, Instant::now());
        let mut seen = |knows, second| lost.look(knows, began + Duration::from_secs(second)).is_some();
        assert!((0..100).all(|second| !seen(false, second)), "it was never told of any");
        assert!(!seen(true, 100));
        let told: Vec<_> = (101..300).filter(|&second| seen(false, second)).map(|second| second - 100).collect();
        assert_eq!(told, [2, 4, 8, 16, 32, 64, 124, 184]);
        assert!(!seen(true, 300));
        let told: Vec<_> = (301..310).filter(|&second| seen(false, second)).map(|second| second - 300).collect();
        assert_eq!(told, [2, 4, 8], "it begins again");
    }
}
