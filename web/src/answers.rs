//! What is known of each flight: that it waits, its answer, or why it was refused.
//!
//! Invariants: an answer stays the same once it is known, and wins over a refusal (a refused flight can be sent
//! again); the oldest flights are forgotten beyond the limits. Does not know where answers come from.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::trace::Followed;

/// Longer ones are nobody's: the page's ids have 36.
pub const ID_BYTES_MAX: usize = 128;

#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The position of the message that said it: `<topic>-<partition>-<offset>`.
    pub event_id: String,
    pub verdict: Verdict,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The message's value: a JSON object.
    Answered(String),
    Rejected(Rejection),
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rejection {
    pub stage: String,
    pub code: String,
    pub reason: String,
}

impl Outcome {
    fn bytes(&self) -> usize {
        let said = match &self.verdict {
            Verdict::Answered(value) => value.len(),
            Verdict::Rejected(Rejection { stage, code, reason }) => stage.len() + code.len() + reason.len(),
        };
        self.event_id.len() + said
    }

    fn gives_way_to(&self, other: &Outcome) -> bool {
        matches!((&self.verdict, &other.verdict), (Verdict::Rejected(_), Verdict::Answered(_)))
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub flights_max: usize,
    pub bytes_max: usize,
}

pub type Listener = watch::Receiver<Option<Arc<Outcome>>>;

enum State {
    Waiting,
    /// Somebody listens, or did.
    Heard(watch::Sender<Option<Arc<Outcome>>>),
    Done(Arc<Outcome>),
}

impl State {
    fn bytes(&self) -> usize {
        match self {
            State::Done(outcome) => outcome.bytes(),
            State::Waiting | State::Heard(_) => 0,
        }
    }
}

/// What is known of one flight.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    Waiting,
    Done(Arc<Outcome>),
}

pub struct Answers {
    limits: Limits,
    flights: Mutex<Flights>,
}

#[derive(Default)]
struct Flights {
    states: HashMap<Arc<str>, State>,
    /// Every id of `states` once, the oldest first.
    order: VecDeque<Arc<str>>,
    bytes: usize,
    /// Of those that wait, the ones whose trace ends with the answer.
    followed: HashMap<Arc<str>, Followed>,
}

impl Flights {
    fn add(&mut self, id: &str, state: State) {
        let id: Arc<str> = id.into();
        self.bytes += id.len() + state.bytes();
        self.order.push_back(id.clone());
        self.states.insert(id, state);
    }

    fn forget_beyond(&mut self, limits: Limits) {
        while self.states.len() > limits.flights_max || self.bytes > limits.bytes_max {
            let Some(oldest) = self.order.pop_front() else { return };
            let state = self.states.remove(&oldest);
            self.followed.remove(&oldest);
            self.bytes -= oldest.len() + state.map_or(0, |state| state.bytes());
        }
    }
}

impl Answers {
    pub fn new(limits: Limits) -> Answers {
        Answers { limits, flights: Mutex::default() }
    }

    /// A flight was sent.
    pub fn expect(&self, id: &str) {
        let mut flights = self.flights();
        if id.len() <= ID_BYTES_MAX && !flights.states.contains_key(id) {
            flights.add(id, State::Waiting);
            flights.forget_beyond(self.limits);
        }
    }

    /// A flight was sent, and its trace ends with its answer.
    pub fn follow(&self, id: &str, followed: Followed) {
        self.expect(id);
        let mut flights = self.flights();
        match flights.states.get(id) {
            Some(State::Done(outcome)) => followed.settled(outcome),
            Some(State::Waiting | State::Heard(_)) => drop(flights.followed.insert(id.into(), followed)),
            None => {}
        }
    }

    /// What became of a flight, whether or not it was seen to be sent.
    pub fn settle(&self, id: &str, outcome: Outcome) {
        if id.len() > ID_BYTES_MAX {
            return;
        }
        let outcome = Arc::new(outcome);
        let mut flights = self.flights();
        let flights = &mut *flights;
        if let Some(followed) = flights.followed.remove(id) {
            followed.settled(&outcome);
        }
        match flights.states.get_mut(id) {
            None => flights.add(id, State::Done(outcome)),
            Some(State::Done(first)) if !first.gives_way_to(&outcome) => {}
            Some(state) => {
                if let State::Heard(listeners) = state {
                    listeners.send_replace(Some(outcome.clone()));
                }
                flights.bytes += outcome.bytes();
                flights.bytes -= state.bytes();
                *state = State::Done(outcome);
            }
        }
        flights.forget_beyond(self.limits);
    }

    pub fn look(&self, id: &str) -> Option<Known> {
        Some(match self.flights().states.get(id)? {
            State::Done(outcome) => Known::Done(outcome.clone()),
            State::Waiting | State::Heard(_) => Known::Waiting,
        })
    }

    /// Hears what becomes of a known flight, at once if it is decided; closed when the flight is forgotten.
    pub fn listen(&self, id: &str) -> Option<Listener> {
        let mut flights = self.flights();
        let state = flights.states.get_mut(id)?;
        if let State::Waiting = state {
            *state = State::Heard(watch::Sender::new(None));
        }
        Some(match state {
            State::Heard(listeners) => listeners.subscribe(),
            State::Done(outcome) => watch::channel(Some(outcome.clone())).1,
            State::Waiting => return None,
        })
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(flights_max: usize, bytes_max: usize) -> Answers {
        Answers::new(Limits { flights_max, bytes_max })
    }

    fn answered(value: &str) -> Outcome {
        Outcome { event_id: "t-0-1".into(), verdict: Verdict::Answered(value.into()) }
    }

    fn rejected() -> Outcome {
        let rejection = Rejection { stage: "s".into(), code: "c".into(), reason: "r".into() };
        Outcome { event_id: "r-0-1".into(), verdict: Verdict::Rejected(rejection) }
    }

    fn value(answers: &Answers, id: &str) -> Option<String> {
        match answers.look(id)? {
            Known::Waiting => Some("waiting".into()),
            Known::Done(outcome) => Some(match &outcome.verdict {
                Verdict::Answered(value) => value.clone(),
                Verdict::Rejected(rejection) => rejection.reason.clone(),
            }),
        }
    }

    #[test]
    fn the_first_answer_stays_and_wins_over_a_refusal() {
        let answers = answers(9, 999);
        answers.expect("a");
        assert_eq!(value(&answers, "a").as_deref(), Some("waiting"));
        for (outcome, then) in [(rejected(), "r"), (answered("1"), "1"), (answered("2"), "1"), (rejected(), "1")] {
            answers.settle("a", outcome);
            assert_eq!(value(&answers, "a").as_deref(), Some(then));
        }
        answers.expect("a");
        assert_eq!(value(&answers, "a").as_deref(), Some("1"));
        assert_eq!(value(&answers, "b"), None);
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let some = answers(2, 999);
        for id in ["a", "b", "c"] {
            some.expect(id);
        }
        assert_eq!(["a", "b", "c"].map(|id| some.look(id).is_some()), [false, true, true]);
        let small = answers(9, 20);
        small.settle("a", answered("12345"));
        small.settle("b", answered("12345"));
        assert_eq!(["a", "b"].map(|id| small.look(id).is_some()), [false, true]);
        // bytes are counted back: a third of the same size still finds room for one
        small.settle("c", answered("12345"));
        assert_eq!(["b", "c"].map(|id| small.look(id).is_some()), [false, true]);
        assert_eq!(small.flights().bytes, 11);
    }

    #[test]
    fn an_id_beyond_the_limit_is_nobodys() {
        let answers = answers(9, 9_999);
        let long = "x".repeat(ID_BYTES_MAX + 1);
        answers.expect(&long);
        answers.settle(&long, answered("1"));
        assert_eq!(answers.look(&long), None);
    }

    #[tokio::test]
    async fn all_listeners_hear_it_whenever_they_came() {
        let answers = answers(9, 999);
        answers.expect("a");
        let mut early = [answers.listen("a").expect("known"), answers.listen("a").expect("known")];
        answers.settle("a", answered("1"));
        for listener in &mut early {
            assert!(listener.wait_for(Option::is_some).await.is_ok());
        }
        let mut late = answers.listen("a").expect("known");
        assert!(late.wait_for(Option::is_some).await.is_ok());
        assert!(answers.listen("b").is_none());
    }

    #[tokio::test]
    async fn a_listener_of_a_forgotten_flight_is_let_go() {
        let answers = answers(1, 999);
        answers.expect("a");
        let mut listener = answers.listen("a").expect("known");
        answers.expect("b");
        assert!(listener.wait_for(Option::is_some).await.is_err());
    }
}
