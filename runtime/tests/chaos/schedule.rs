//! What is done to a pipeline, and when: all of it from a seed.

use crate::random::Random;

const STEPS_MIN: u64 = 3;
const STEPS_MAX: u64 = 6;

pub struct Step<F> {
    /// Sent before the fault: half of them first, the others at the last moment.
    pub messages: u64,
    /// The fault comes once so much of what was sent until the first half has an outcome.
    pub percent: u64,
    /// And so much later, to meet another moment of a transaction.
    pub later_us: u64,
    pub fault: F,
}

pub fn steps<F>(random: &mut Random, messages_max: u64, draw: impl Fn(&mut Random) -> F) -> Vec<Step<F>> {
    let count = random.within(STEPS_MIN, STEPS_MAX);
    let step = |_| Step {
        messages: random.within(10, messages_max),
        percent: random.within(0, 100),
        later_us: random.within(0, 20_000),
        fault: draw(random),
    };
    (0..count).map(step).collect()
}
