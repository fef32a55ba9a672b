//! What a reset may move, and what comes of it: no I/O.
//!
//! Invariants: what is moved lies in the log; no sink is moved beyond the head, and the head not before a sink that
//! stays; every prefix of the moves is a state that the engine accepts, if it accepted the first: sinks go back before
//! the head does, and forward after it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::view::{Partition, Sink, View, outside};
use crate::engine::history::History;
use crate::error::Result;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Head,
    Sink(Arc<str>),
    /// The head, and every sink.
    All,
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// The log's beginning.
    Earliest,
    /// The log's end; for a sink alone, where the head stands.
    Latest,
    Offset(i64),
    /// By partition; the others stay.
    Each(BTreeMap<i32, i64>),
}

#[derive(Clone, Debug)]
pub struct Request {
    pub target: Target,
    pub to: To,
    /// This partition only.
    pub partition: Option<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Head,
    Sink(Arc<str>),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Head => f.write_str("head"),
            Who::Sink(name) => write!(f, "sink `{name}`"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub who: Who,
    pub partition: i32,
    /// None: there is no position, or one that says nothing about this log.
    pub from: Option<i64>,
    pub to: i64,
    /// Is what stands there about another log, or not to be read?
    pub anew: bool,
}

impl Move {
    /// Messages that come once more. None: how many is not known.
    pub fn repeats(&self) -> Option<i64> {
        self.from.filter(|_| !self.anew).map(|from| (from - self.to).max(0))
    }

    /// Messages that never come.
    pub fn skips(&self) -> Option<i64> {
        self.from.filter(|_| !self.anew).map(|from| (self.to - from).max(0))
    }
}

/// Moves in the order in which they are made, and why some cannot be.
#[derive(Debug, Default)]
pub struct Moves {
    pub moves: Vec<Move>,
    pub refused: Vec<String>,
}

impl Moves {
    pub fn new(view: &View, request: &Request) -> Moves {
        let mut moves = Moves::default();
        moves.know(view, request);
        for (&id, partition) in &view.partitions {
            if request.partition.is_none_or(|only| only == id) {
                moves.add(view, request, id, partition);
            }
        }
        moves.moves.sort_by_key(|step| (step.turn(), step.who.clone(), step.partition));
        moves
    }

    /// Does all that the request names exist?
    fn know(&mut self, view: &View, request: &Request) {
        let each = match &request.to {
            To::Each(each) => each.keys().copied().collect(),
            _ => Vec::new(),
        };
        for id in each.into_iter().chain(request.partition) {
            if !view.partitions.contains_key(&id) {
                let count = view.partitions.len();
                self.refuse(format!("topic `{}` has no partition {id}: it has {count}, from 0", view.log.topic));
            }
        }
        for (name, why) in &view.unread {
            match &request.target {
                Target::Sink(other) if other != name => {}
                Target::Head => {
                    self.refuse(format!("sink `{name}` gave no answer, and must not end up beyond the head: {why}"));
                }
                Target::Sink(_) | Target::All => self.refuse(format!("sink `{name}` gave no answer: {why}")),
            }
        }
    }

    fn refuse(&mut self, said: String) {
        self.refused.push(said);
    }

    fn add(&mut self, view: &View, request: &Request, id: i32, partition: &Partition) {
        let latest = match request.target {
            Target::Sink(_) => partition.head.next.unwrap_or(partition.extent.first),
            Target::Head | Target::All => partition.extent.end,
        };
        let to = match &request.to {
            To::Earliest => partition.extent.first,
            To::Latest => latest,
            To::Offset(offset) => *offset,
            To::Each(each) => match each.get(&id) {
                Some(offset) => *offset,
                None => return,
            },
        };
        if let Some(said) = outside(to, partition.extent) {
            return self.refuse(format!("partition {id}: {to} is {said}"));
        }
        let head_moves = matches!(request.target, Target::Head | Target::All);
        if head_moves {
            self.head(view, request, id, partition, to);
        }
        // without an offset, the engine begins at the log's first or at its end
        let head = if head_moves { to } else { partition.head.next.unwrap_or(partition.extent.first) };
        for (name, sink) in &partition.sinks {
            match &request.target {
                Target::Head => {}
                Target::Sink(only) if only != name => {}
                Target::Sink(_) | Target::All => self.sink(id, name, sink, head, to, forgotten_before(view, partition)),
            }
        }
    }

    /// `forgotten`: rows before it are of no generation that is known.
    fn sink(&mut self, id: i32, name: &Arc<str>, sink: &Sink, head: i64, to: i64, forgotten: i64) {
        if let Some(wrong) = sink.entry.wrong.as_ref().filter(|wrong| !wrong.mends) {
            return self.refuse(format!("partition {id}: sink `{name}`: {}", wrong.said));
        }
        if to > head {
            return self.refuse(format!(
                "partition {id}: sink `{name}` would be at {to}, beyond the head at {head}: use --all, or --to {id}:{head}"
            ));
        }
        let anew = sink.entry.next.is_none() || sink.entry.wrong.is_some();
        let step = Move { who: Who::Sink(name.clone()), partition: id, from: sink.entry.next, to, anew };
        // it stands where it is to stand, and would not go on
        if to < forgotten { self.moves.push(step) } else { self.push(step) }
    }

    fn head(&mut self, view: &View, request: &Request, id: i32, partition: &Partition, to: i64) {
        let head = &partition.head;
        let of_another = head.history.as_ref().is_some_and(|history| history.topic_id != view.log.topic_id);
        let anew = head.next.is_none() || of_another;
        for (name, sink) in &partition.sinks {
            let stays = request.target == Target::Head && sink.wrong.is_none();
            if let Some(next) = sink.entry.next.filter(|next| stays && *next > to) {
                self.refuse(format!(
                    "partition {id}: the head would be at {to}, and sink `{name}` is at {next}: no sink may be beyond the \
                     head. Use --all, or move the sink first"
                ));
            }
        }
        self.push(Move { who: Who::Head, partition: id, from: head.next, to, anew });
    }

    fn push(&mut self, step: Move) {
        if step.anew || step.from != Some(step.to) {
            self.moves.push(step);
        }
    }
}

impl Move {
    fn turn(&self) -> u8 {
        let back = !self.anew && self.from.is_some_and(|from| self.to < from);
        match self.who {
            Who::Sink(_) if back => 0,
            Who::Head => 1,
            Who::Sink(_) => 2,
        }
    }
}

/// The generation list that stands beside a head moved to `to`, so that it covers the `lowest` position of all.
/// `generation`: the pipeline file's.
pub(super) fn history_of(view: &View, partition: &Partition, to: i64, lowest: i64, generation: &Arc<str>) -> History {
    match &partition.head.history {
        Some(history) if partition.head.next.is_some() && history.topic_id == view.log.topic_id => {
            let mut history = history.clone();
            history.reach_back(lowest);
            history
        }
        _ => History::new(&view.log.topic_id, to.min(lowest), generation),
    }
}

fn forgotten_before(view: &View, partition: &Partition) -> i64 {
    let known = partition.head.history.as_ref().filter(|history| history.topic_id == view.log.topic_id);
    known.map_or(i64::MIN, History::begins)
}

/// The lists that have to reach further back before sinks are moved, where their heads stay; with these heads.
pub(super) fn reach_back(view: &View, moves: &Moves) -> BTreeMap<i32, (i64, History)> {
    let stays = |id: &i32| !moves.moves.iter().any(|step| step.partition == *id && step.who == Who::Head);
    let list = |(&id, partition): (&i32, &Partition)| {
        let lowest = moves.moves.iter().filter(|step| step.partition == id).map(|step| step.to).min()?;
        let (head, history) = (partition.head.next?, partition.head.history.as_ref()?);
        let mut longer = history.clone();
        longer.reach_back(lowest);
        (lowest < forgotten_before(view, partition)).then_some((id, (head, longer)))
    };
    view.partitions.iter().filter(|(id, _)| stays(id)).filter_map(list).collect()
}

/// Who computes rows from the lowest moved position on, once the pipeline starts with this `generation`: for people.
/// None: nothing goes back.
pub(super) fn computed_by(
    view: &View,
    moves: &Moves,
    id: i32,
    partition: &Partition,
    generation: &Arc<str>,
) -> Option<String> {
    let mine = || moves.moves.iter().filter(|step| step.partition == id);
    let lowest =
        mine().filter(|step| step.anew || step.from.is_none_or(|from| step.to <= from)).map(|step| step.to).min()?;
    let head = mine().find(|step| step.who == Who::Head).map(|step| step.to).or(partition.head.next)?;
    let mut history = history_of(view, partition, head, lowest, generation);
    history.decide(head, generation);
    let entries = history.entries();
    let from = entries.partition_point(|(from, _)| *from <= lowest).saturating_sub(1);
    let said: Vec<_> =
        entries[from..].iter().map(|(from, hash)| format!("from {} {hash}", lowest.max(*from))).collect();
    let forgotten = forgotten_before(view, partition);
    let beyond = match lowest < forgotten && lowest < partition.head.next.unwrap_or(lowest) {
        true => format!("; which generation computed rows before {forgotten} first is not known any more"),
        false => String::new(),
    };
    Some(format!("rows are computed by generation: {}{beyond}", said.join(", ")))
}

/// What stands beside each head that moves.
pub(super) fn metadata_of(view: &View, moves: &Moves, step: &Move, generation: &Arc<str>) -> Result<String> {
    let partition = &view.partitions[&step.partition];
    let mine = moves.moves.iter().filter(|other| other.partition == step.partition).map(|other| other.to);
    let stay = partition.sinks.values().filter(|sink| sink.wrong.is_none()).filter_map(|sink| sink.entry.next);
    let lowest = mine.chain(stay).min().unwrap_or(step.to);
    history_of(view, partition, step.to, lowest, generation).render()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::positions::view::Head;
    use crate::sink::Log;
    use crate::sink::ledger::{Entry, Wrong};
    use crate::source::Extent;

    fn sink(next: i64) -> Sink {
        Sink { entry: Entry { next: Some(next), ..Entry::default() }, wrong: None }
    }

    /// One partition: a log of [first, end), the head, and two sinks.
    fn view(first: i64, end: i64, head: i64, sinks: [i64; 2]) -> View {
        let history = History::new("id", first, &"a".into());
        let sinks = [("one", sinks[0]), ("two", sinks[1])].map(|(name, next)| (name.into(), sink(next)));
        let head = Head { next: Some(head), history: Some(history), wrong: None };
        let partition = Partition { extent: Extent { first, end }, head, sinks: BTreeMap::from(sinks) };
        View {
            log: Log { cluster: "c".into(), topic: "t".into(), topic_id: "id".into() },
            group: "g".into(),
            members: None,
            partitions: BTreeMap::from([(0, partition)]),
            places: BTreeMap::new(),
            unread: BTreeMap::new(),
        }
    }

    /// What the engine checks at a start.
    fn is_accepted(Partition { extent, head, sinks }: &Partition) -> bool {
        let inside = |next: i64| (extent.first..=extent.end).contains(&next);
        let head = head.next.unwrap_or(extent.first);
        inside(head) && sinks.values().filter_map(|sink| sink.entry.next).all(|next| inside(next) && next <= head)
    }

    fn make(step: &Move, partition: &mut Partition) {
        match &step.who {
            Who::Head => partition.head.next = Some(step.to),
            Who::Sink(name) => *partition.sinks.get_mut(name).unwrap() = sink(step.to),
        }
    }

    fn request(target: Target, to: To) -> Request {
        Request { target, to, partition: None }
    }

    proptest! {
        #[test]
        fn whatever_is_not_refused_is_accepted_after_every_move(
            (first, rows, head, sinks) in (0..5_i64, 0..20_i64, 0..20_i64, [0..20_i64, 0..20_i64]),
            target in prop::sample::select(vec![Target::Head, Target::Sink("one".into()), Target::All]),
            to in prop_oneof![Just(To::Earliest), Just(To::Latest), (0..30_i64).prop_map(To::Offset)],
        ) {
            let end = first + rows;
            let head = end.min(first + head);
            let view = view(first, end, head, sinks.map(|sink| head.min(first + sink)));
            let mut partition = view.partitions[&0].clone();
            prop_assert!(is_accepted(&partition));
            let moves = Moves::new(&view, &request(target.clone(), to.clone()));
            let possible = match (&to, &target) {
                (To::Offset(to), _) if !(first..=end).contains(to) => false,
                (To::Offset(to), Target::Sink(_)) => *to <= head,
                (To::Earliest, Target::Head) => view.partitions[&0].sinks.values().all(|s| s.entry.next <= Some(first)),
                (To::Offset(to), Target::Head) => view.partitions[&0].sinks.values().all(|s| s.entry.next <= Some(*to)),
                _ => true,
            };
            prop_assert_eq!(moves.refused.is_empty(), possible, "{:?}", moves.refused);
            if !possible {
                return Ok(());
            }
            for step in &moves.moves {
                make(step, &mut partition);
                prop_assert!(is_accepted(&partition), "{:?} of {:?}", step, moves.moves);
            }
            // and it comes to what was asked for
            let again = View { partitions: BTreeMap::from([(0, partition)]), ..view };
            prop_assert_eq!(Moves::new(&again, &request(target, to)).moves, Vec::new());
        }
    }

    #[test]
    fn what_is_of_another_log_is_moved_wherever_it_stands_and_what_cannot_be_mended_is_not() {
        let mut view = view(0, 10, 0, [0, 0]);
        let partition = view.partitions.get_mut(&0).unwrap();
        partition.head.history = Some(History::new("old", 0, &"a".into()));
        partition.sinks.get_mut("one").unwrap().entry.wrong = Some(Wrong { said: "another".into(), mends: true });
        let moves = Moves::new(&view, &request(Target::All, To::Earliest));
        let anew: Vec<_> = moves.moves.iter().map(|step| (step.who.to_string(), step.anew, step.repeats())).collect();
        assert_eq!(anew, [("head".to_owned(), true, None), ("sink `one`".to_owned(), true, None)]);
        let partition = view.partitions.get_mut(&0).unwrap();
        partition.sinks.get_mut("one").unwrap().entry.wrong = Some(Wrong { said: "by hand".into(), mends: false });
        let moves = Moves::new(&view, &request(Target::All, To::Earliest));
        assert_eq!(moves.refused, ["partition 0: sink `one`: by hand"]);
    }

    #[test]
    fn a_new_generation_computes_from_a_rewound_head_on_and_the_old_one_what_a_sink_lacks_below_it() {
        let mut view = view(0, 100, 50, [5, 5]);
        let moves = Moves::new(&view, &request(Target::Head, To::Offset(10)));
        let said = |view: &View, generation: &str| {
            computed_by(view, &moves, 0, &view.partitions[&0], &generation.into()).unwrap()
        };
        assert_eq!(said(&view, "a"), "rows are computed by generation: from 10 a");
        assert_eq!(said(&view, "b"), "rows are computed by generation: from 10 b");
        // the list beside the head covers the sinks that stay
        let mut history = History::new("id", 40, &"a".into());
        history.decide(45, &"b".into());
        view.partitions.get_mut(&0).unwrap().head.history = Some(history);
        let written = metadata_of(&view, &moves, &moves.moves[0], &"b".into()).unwrap();
        let entries = History::parse(&written).unwrap().entries().to_vec();
        assert_eq!(entries, [(5, "a".into()), (45, "b".into())]);
        let expected = "rows are computed by generation: from 10 a, from 45 b; which generation computed rows before 40 \
                        first is not known any more";
        assert_eq!(said(&view, "b"), expected);
    }
}
