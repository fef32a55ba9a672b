//! Which generation computes an offset, as the head's commit decided.

use serde::Serialize;

use super::Message;
use crate::engine::History;
use crate::error::Result;
use crate::plan::Plan;
use crate::sink::Log;
use crate::topic::Reader;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The head has committed the offset: rows, rejects and the generation are decided.
    Decided,
    /// The group stands before it, or nowhere.
    NotYet,
    /// The group stands behind it, and what stands beside its offset does not say whose it was.
    Unknown,
    /// The group's offsets are about a topic that was deleted; this one was made after it.
    AnotherTopic,
}

#[derive(Clone, Debug, Serialize)]
pub struct Owner {
    pub state: State,
    pub generation: Option<String>,
    pub group: String,
    /// The first offset that the group has not committed.
    pub group_stands_at: Option<i64>,
    /// The first offset that the group's list of generations is about.
    pub generations_begin_at: Option<i64>,
}

impl Owner {
    pub fn of(plan: &Plan, reader: &mut Reader, log: &Log, message: &Message) -> Result<Owner> {
        let group = plan.source.group.clone();
        let committed = reader.committed(&group, message.partition)?;
        let history = History::parse(&committed.metadata);
        let owner = |state, generation| Owner {
            state,
            generation,
            group,
            group_stands_at: committed.offset,
            generations_begin_at: history.as_ref().map(History::begins),
        };
        if history.as_ref().is_some_and(|history| history.topic_id != log.topic_id) {
            return Ok(owner(State::AnotherTopic, None));
        }
        if committed.offset.is_none_or(|offset| offset <= message.offset) {
            return Ok(owner(State::NotYet, None));
        }
        let known = history.as_ref().and_then(|history| history.at(message.offset));
        let generation = known.map(ToString::to_string);
        Ok(owner(if generation.is_some() { State::Decided } else { State::Unknown }, generation))
    }

    /// The file's own generation has computed it.
    pub fn is(&self, plan: &Plan) -> bool {
        self.generation.as_deref() == Some(&*plan.generation)
    }

    /// The head has not come that far in this topic.
    pub fn is_ahead(&self) -> bool {
        matches!(self.state, State::NotYet | State::AnotherTopic)
    }
}
