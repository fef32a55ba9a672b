//! One token for all clients of a cluster, renewed before it expires.
//!
//! Invariant: while there are clients one thread asks for tokens, and nobody waits for it; one request at a time, and
//! after one that failed a pause that grows. Whatever asks for tokens and gives them knows nothing of why a client is
//! there. No token and no secret is in a line of the log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::endpoint::{self, Token};
use crate::oidc::Settings;

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Somebody may have mended what made the brokers refuse a token that is older.
const DOUBT_AFTER: Duration = Duration::from_secs(10);
/// A machine that slept wakes up with a clock that went on, and a wait that did not.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

type Give = Box<dyn Fn(&Token, &[(String, String)]) + Send>;

pub struct Tokens {
    settings: Settings,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    token: Option<Token>,
    /// Of the last request, if it failed.
    trouble: Option<String>,
    failures: u32,
    asked: Instant,
    due: Due,
    clients: BTreeMap<u64, Give>,
    next_client: u64,
    is_renewed: bool,
}

/// By whichever clock is there first.
struct Due(Instant, SystemTime);

impl Due {
    fn after(pause: Duration) -> Due {
        Due(Instant::now() + pause, SystemTime::now() + pause)
    }

    fn left(&self) -> Duration {
        let by_the_clock = self.1.duration_since(SystemTime::now()).unwrap_or_default();
        self.0.saturating_duration_since(Instant::now()).min(by_the_clock)
    }
}

/// A client's place among those that get tokens, until it is dropped.
pub struct Place {
    tokens: Arc<Tokens>,
    client: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tokens.state().clients.remove(&self.client);
        self.tokens.changed.notify_all();
    }
}

impl Tokens {
    pub fn new(settings: Settings) -> Tokens {
        let state = State {
            token: None,
            trouble: None,
            failures: 0,
            asked: Instant::now(),
            due: Due::after(Duration::ZERO),
            clients: BTreeMap::new(),
            next_client: 0,
            is_renewed: false,
        };
        Tokens { settings, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `give` is called with every token from now on. It holds up all others.
    pub fn enter(self: &Arc<Tokens>, give: Give) -> Place {
        let mut state = self.state();
        if let Some(token) = state.valid() {
            give(token, &self.settings.extensions);
        }
        let client = state.next_client;
        state.next_client += 1;
        state.clients.insert(client, give);
        if !state.is_renewed {
            state.is_renewed = true;
            let tokens = self.clone();
            let spawned = std::thread::Builder::new().name("tokens".into()).spawn(move || tokens.renew());
            if let Err(cause) = spawned {
                state.is_renewed = false;
                state.trouble = Some(format!("nobody asks {} for tokens: {cause}", self.settings.place));
            }
        }
        Place { tokens: self.clone(), client }
    }

    /// Why there is no token that brokers could take.
    pub fn trouble(&self) -> Option<String> {
        let state = self.state();
        if state.valid().is_some() { None } else { state.trouble.clone() }
    }

    /// The brokers refuse the token: another one is asked for, unless this one is new.
    pub fn doubt(&self) {
        let mut state = self.state();
        if state.trouble.is_none() && state.asked.elapsed() > DOUBT_AFTER {
            state.due = Due::after(Duration::ZERO);
            self.changed.notify_all();
        }
    }

    /// Until the last client is gone.
    fn renew(&self) {
        let mut state = self.state();
        loop {
            let left = state.due.left();
            if state.clients.is_empty() {
                state.is_renewed = false;
                return;
            }
            if !left.is_zero() {
                let waited = self.changed.wait_timeout(state, left.min(LOOK_AGAIN));
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            drop(state);
            let answer = endpoint::ask(&self.settings.place);
            state = self.state();
            state.take(answer, &self.settings);
        }
    }
}

impl State {
    fn valid(&self) -> Option<&Token> {
        self.token.as_ref().filter(|token| token.expires > SystemTime::now())
    }

    fn take(&mut self, answer: Result<Token, String>, Settings { place, extensions }: &Settings) {
        self.asked = Instant::now();
        match answer {
            Ok(token) => {
                let lives = token.expires.duration_since(SystemTime::now()).unwrap_or_default();
                self.due = Due::after(renewed_after(lives));
                self.clients.values().for_each(|give| give(&token, extensions));
                tracing::debug!(principal = token.principal, lives_s = lives.as_secs(), "a token from {place}");
                if self.trouble.take().is_some() {
                    tracing::info!("{place} gives tokens again");
                }
                (self.token, self.failures) = (Some(token), 0);
            }
            Err(trouble) => {
                self.due = Due::after(pause(self.failures));
                self.failures += 1;
                if self.trouble.as_ref() != Some(&trouble) {
                    tracing::warn!("no new token for Kafka: {trouble} (asking again and again)");
                }
                self.trouble = Some(trouble);
            }
        }
    }
}

/// Before clients say again who they are, at nine tenths of the time.
fn renewed_after(lives: Duration) -> Duration {
    lives.mul_f64(0.75).max(PAUSE_MIN)
}

fn pause(failures: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX)
}

/// The settings are what two clusters may differ in.
impl PartialEq for Tokens {
    fn eq(&self, other: &Tokens) -> bool {
        self.settings == other.settings
    }
}

impl Eq for Tokens {}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.place.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_in_time_and_an_endpoint_is_not_stormed() {
        assert_eq!(renewed_after(Duration::from_secs(3_600)), Duration::from_secs(2_700));
        assert_eq!(renewed_after(Duration::from_millis(1)), PAUSE_MIN);
        let pauses: Vec<_> = (0..7).map(|failures| pause(failures).as_millis()).collect();
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}
