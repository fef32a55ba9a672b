//! What a pipeline runs on: the services that its file names, or their embedded twins in one folder.
//!
//! Invariant: nothing but the connectors knows which.

use std::collections::BTreeSet;
use std::path::PathBuf;

use millrace_embedded::Hold;

use crate::embedded::{self as twins, Share};
use crate::error::Result;
use crate::plan::{Plan, SourcePlan};
use crate::sink::transaction::Transactions;
use crate::sink::{embedded, kafka};
use crate::source::{self, Source};
use crate::topics;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    Services,
    Embedded(PathBuf),
}

impl Ground {
    /// One process runs pipelines on a folder at a time.
    pub fn hold(&self) -> Result<Option<Hold>> {
        match self {
            Ground::Services => Ok(None),
            Ground::Embedded(folder) => Hold::take(folder).map(Some).map_err(twins::error),
        }
    }

    /// Where the source is, for people.
    pub fn place(&self, plan: &SourcePlan) -> String {
        match self {
            Ground::Services => format!("at {}", plan.brokers),
            Ground::Embedded(folder) => format!("in {}", folder.display()),
        }
    }

    /// Makes the topics that the file says how to make, where they are not there.
    pub fn make_topics(&self, plan: &Plan) -> Result<()> {
        match self {
            Ground::Services => topics::make_all(&plan.source.brokers, &plan.creates, plan.source.timeout),
            Ground::Embedded(folder) => topics::make_in(folder, &plan.creates).map(drop).map_err(twins::error),
        }
    }

    /// Connects to nothing yet.
    pub fn source(&self, plan: &SourcePlan, client_id: &str, share: Share) -> Result<Source> {
        Ok(match self {
            Ground::Services => Source::Kafka(Box::new(source::kafka::Source::new(plan, client_id)?)),
            Ground::Embedded(folder) => Source::Embedded(Box::new(source::embedded::Source::new(plan, folder, share)?)),
        })
    }

    /// Fences whoever had this id, and finishes what it left. `topics`: those that will be written.
    pub fn transactions(
        &self,
        plan: &SourcePlan,
        topics: &BTreeSet<&str>,
        transactional_id: &str,
        share: Share,
    ) -> Result<Transactions> {
        Ok(match self {
            Ground::Services => Transactions::Kafka(kafka::Transactions::init(plan, transactional_id, topics)?),
            Ground::Embedded(folder) => Transactions::Embedded(embedded::Transactions::new(plan, folder, share)?),
        })
    }
}
