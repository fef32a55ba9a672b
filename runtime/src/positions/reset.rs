//! Moving positions by hand: alone, on record, and each by its medium's own protocol.
//!
//! Invariant: as long as a [`Reset`] lives, no worker of this host runs the pipeline; before anything moves the group
//! has no member, what dead workers left undecided is decided, and everything stands as it was shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millrace_embedded::Hold;
use tokio::runtime::Handle;

use super::record::Record;
use super::rules::{Move, Moves, Request, Target, To, Who, computed_by, metadata_of, reach_back};
use super::view::{View, Viewer};
use crate::engine::history::History;
use crate::engine::store::{Slot, Store};
use crate::error::{Error, Result};
use crate::ground::Ground;
use crate::plan::Plan;
use crate::sink::ledger::Ledger;
use crate::sink::transaction::Advance;
use crate::source::group::Offsets;

pub struct Reset<'a> {
    viewer: Viewer<'a>,
    /// Of every worker that this host had; held.
    slots: Vec<Slot>,
    folder: PathBuf,
    _hold: Option<Hold>,
}

/// What a reset would do.
pub struct Proposal {
    view: View,
    pub moves: Moves,
    request: Request,
}

impl<'a> Reset<'a> {
    /// An error if somebody runs the pipeline.
    pub fn begin(plan: &'a Plan, ground: &Ground, state: &Path, handle: Handle) -> Result<Reset<'a>> {
        let mut viewer = Viewer::open(plan, ground, Offsets::Settled, handle)?;
        let hold = ground.hold()?;
        let slots = Store::open(state, &plan.name)?.every_slot()?;
        viewer.must_be_alone()?;
        Ok(Reset { viewer, slots, folder: state.join(&plan.name), _hold: hold })
    }

    /// Reads everything, and says what the request comes to. Nothing has happened yet.
    pub fn propose(&mut self, request: Request) -> Result<Proposal> {
        let refused = refused(self.viewer.plan, &request.target);
        let view = self.viewer.view()?;
        let mut moves = Moves::new(&view, &request);
        moves.refused.splice(0..0, refused);
        for step in &moves.moves {
            let Who::Sink(name) = &step.who else { continue };
            let Some(ledger) = self.viewer.ledgers.get_mut(name) else { continue };
            let obstacle = self.viewer.handle.block_on(ledger.obstacle(step.partition, step.to));
            let obstacle = obstacle.map_err(|error| error.at(format!("sink `{name}`")))?;
            moves.refused.extend(obstacle.map(|said| format!("partition {}: sink `{name}`: {said}", step.partition)));
        }
        Ok(Proposal { view, moves, request })
    }

    /// What the proposal repeats and skips: a line each.
    pub fn explain(&self, proposal: &Proposal) -> Vec<String> {
        let (plan, view) = (self.viewer.plan, &proposal.view);
        let mut said = Vec::new();
        for (id, partition) in &view.partitions {
            let mine: Vec<_> = proposal.moves.moves.iter().filter(|step| step.partition == *id).collect();
            said.extend(mine.iter().map(|step| self.line(step)));
            let computed = computed_by(view, &proposal.moves, *id, partition, &plan.generation);
            said.extend(computed.map(|computed| format!("partition {id}: {computed}")));
        }
        said
    }

    fn line(&self, step: &Move) -> String {
        let place = format!("partition {}, {}", step.partition, step.who);
        let from = step.from.map_or("no position".to_owned(), |from| from.to_string());
        let comes = match (step.repeats(), step.skips()) {
            (Some(count), _) if count > 0 => {
                format!("{count} messages are worked on again: {}", self.repeats(&step.who))
            }
            (_, Some(count)) if count > 0 => format!("{count} messages are skipped: {}", self.skips(&step.who)),
            _ if step.from == Some(step.to) && !step.anew => "it stays, and goes on".to_owned(),
            _ => format!("what is there says nothing of this log; it begins anew: {}", self.repeats(&step.who)),
        };
        format!("{place}: {from} → {}: {comes}", step.to)
    }

    fn repeats(&self, who: &Who) -> String {
        match who {
            Who::Head => format!("their rows and rejects are written once more to {}", self.topics()),
            Who::Sink(name) => {
                let words = self.viewer.ledgers.get(name).map_or("", Ledger::repeats);
                format!("their rows are written again; {words}")
            }
        }
    }

    fn skips(&self, who: &Who) -> String {
        match who {
            Who::Head => format!("none of their rows or rejects comes to {}", self.topics()),
            Who::Sink(name) => format!("none of their rows comes to `{name}`"),
        }
    }

    fn topics(&self) -> String {
        let topics = self.viewer.plan.topics_written();
        topics.iter().map(|topic| format!("`{topic}`")).collect::<Vec<_>>().join(", ")
    }

    /// Does it. An error says what was done before it.
    pub fn run(&mut self, proposal: &Proposal) -> Result<PathBuf> {
        self.settle(proposal)?;
        let moves = &proposal.moves.moves;
        let record = Record::begin(&self.folder, &proposal.view.log, moves)?;
        let mut done = 0;
        let ended = self.move_all(proposal, &record, &mut done);
        let Err(error) = ended else { return Ok(record.path().to_owned()) };
        tracing::error!(%error, done, of = moves.len(), "reset broke off");
        record.failed(&error)?;
        let made: Vec<_> =
            moves[..done].iter().map(|step| format!("{} partition {}", step.who, step.partition)).collect();
        let made = if made.is_empty() { "nothing".to_owned() } else { made.join(", ") };
        let left = format!("{} of {} moves are not done, or not known to be", moves.len() - done, moves.len());
        Err(error.at(format!("moved: {made}; {left}")))
    }

    /// What was read is the truth, and stays it.
    fn settle(&mut self, proposal: &Proposal) -> Result<()> {
        self.viewer.must_be_alone()?;
        let ids: Vec<_> = self.slots.iter().map(|slot| slot.transactional_id.clone()).collect();
        self.viewer.group.fence(&ids)?;
        // to the same offsets: the log may have grown meanwhile
        let to = proposal.moves.moves.iter().map(|step| (step.partition, step.to)).collect();
        let request = Request { to: To::Each(to), ..proposal.request.clone() };
        let now = Moves::new(&self.viewer.view()?, &request);
        if now.moves == proposal.moves.moves && now.refused.is_empty() {
            return Ok(());
        }
        Err(Error::stop("positions have moved since they were shown, and nothing was reset: look again"))
    }

    fn move_all(&mut self, proposal: &Proposal, record: &Record, done: &mut usize) -> Result<()> {
        self.reach_back(proposal)?;
        let moves = &proposal.moves.moves;
        while let Some(step) = moves.get(*done) {
            let count = match &step.who {
                // the head's moves are made at once
                Who::Head => moves[*done..].iter().take_while(|step| step.who == Who::Head).count(),
                Who::Sink(_) => 1,
            };
            let steps = &moves[*done..*done + count];
            match &step.who {
                Who::Head => self.move_head(proposal, steps)?,
                Who::Sink(name) => self.move_sink(name, proposal, step)?,
            }
            *done += count;
            for step in steps {
                tracing::warn!(who = %step.who, partition = step.partition, from = step.from, to = step.to, "position reset");
                record.moved(step)?;
            }
        }
        Ok(())
    }

    /// A list that is longer says nothing that is wrong, whatever becomes of the moves.
    fn reach_back(&mut self, proposal: &Proposal) -> Result<()> {
        let advance = |(partition, (head, history)): (i32, (i64, History))| {
            Ok((partition, Advance { from: Some(head), to: head, metadata: history.render()? }))
        };
        let advances: BTreeMap<_, _> =
            reach_back(&proposal.view, &proposal.moves).into_iter().map(advance).collect::<Result<_>>()?;
        if advances.is_empty() { Ok(()) } else { self.viewer.group.commit(&advances) }
    }

    fn move_head(&mut self, proposal: &Proposal, steps: &[Move]) -> Result<()> {
        let mut advances = BTreeMap::new();
        for step in steps {
            let metadata = metadata_of(&proposal.view, &proposal.moves, step, &self.viewer.plan.generation)?;
            advances.insert(step.partition, Advance { from: step.from, to: step.to, metadata });
        }
        self.viewer.group.commit(&advances).map_err(|error| error.at("head"))
    }

    fn move_sink(&mut self, name: &str, proposal: &Proposal, step: &Move) -> Result<()> {
        let place = |error: Error| error.at(format!("sink `{name}` partition {}", step.partition));
        let (Some(ledger), Some(sink)) =
            (self.viewer.ledgers.get_mut(name), proposal.view.partitions[&step.partition].sinks.get(name))
        else {
            return Err(place(Error::stop("it has no position of its own")));
        };
        self.viewer.handle.block_on(ledger.reset(step.partition, &sink.entry, step.to)).map_err(place)
    }
}

impl Viewer<'_> {
    fn must_be_alone(&mut self) -> Result<()> {
        let members = self.group.members()?.unwrap_or_default();
        if members.is_empty() {
            return Ok(());
        }
        Err(Error::stop(format!(
            "group `{}` has living members: {}. Stop them first; one that was killed is dropped by the brokers after its \
             session's timeout",
            self.plan.source.group,
            members.join(", ")
        )))
    }
}

/// Is the sink one that has a position of its own?
fn refused(plan: &Plan, target: &Target) -> Option<String> {
    let Target::Sink(name) = target else { return None };
    match plan.sinks_seen().find(|sink| sink.name == *name) {
        Some(sink) if sink.topic().is_some() => Some(format!(
            "sink `{name}` is written in the head's transaction and has no position of its own: --head moves it"
        )),
        Some(_) => None,
        None => {
            let names: Vec<_> = plan.sinks_seen().map(|sink| format!("`{}`", sink.name)).collect();
            Some(format!("the pipeline has no sink `{name}`: it has {}", names.join(", ")))
        }
    }
}
