//! The plans of generations, by hash: the one that runs, and those whose rows a sink still asks for.
//!
//! Invariant: a plan is what its hash says, or it is an error; one that was loaded stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::history::History;
use crate::engine::store::Store;
use crate::error::Result;
use crate::plan::Plan;

pub struct Generations {
    store: Arc<Store>,
    /// It has each sink that is asked for.
    running: Arc<str>,
    plans: Mutex<HashMap<Arc<str>, Arc<Plan>>>,
}

impl Generations {
    pub fn new(store: Arc<Store>, running: &Arc<Plan>) -> Generations {
        let plans = HashMap::from([(running.generation.clone(), running.clone())]);
        Generations { store, running: running.generation.clone(), plans: Mutex::new(plans) }
    }

    /// Who comes second waits: a generation is loaded once.
    pub fn get(&self, hash: &Arc<str>) -> Result<Arc<Plan>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(hash) {
            return Ok(plan.clone());
        }
        tracing::info!(generation = %hash, "rows of an earlier generation wait for a sink");
        let plan = Arc::new(self.store.load(hash)?);
        plans.insert(hash.clone(), plan.clone());
        Ok(plan)
    }

    /// Where the first generation begins that has this sink: what came under one that lacks it is the sink's as well. One whose files are missing counts as having it, for rows are
    /// never skipped in silence.
    pub fn sink_since(&self, sink: &str, history: &History) -> i64 {
        history.since(|hash| {
            *hash == self.running || self.store.sinks(hash).is_none_or(|sinks| sinks.iter().any(|known| known == sink))
        })
    }
}
