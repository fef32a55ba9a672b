//! Where the pipeline stands, by the group's offsets and each sink's own position.

use tokio::runtime::Handle;

use super::{Finding, sink_named};
use crate::ground::Ground;
use crate::plan::Plan;
use crate::positions::{self, View, Viewer};
use crate::source::group::Offsets;
use crate::words::counted;

pub fn look(plan: &Plan, ground: &Ground, handle: &Handle, findings: &mut Vec<Finding>) {
    let what = format!("group {}", plan.source.group);
    let viewer = Viewer::open(plan, ground, Offsets::Last, handle.clone());
    match viewer.and_then(|mut viewer| viewer.view()) {
        Ok(view) => {
            findings.push(head(plan, ground, what, &view));
            let apart = plan.sinks_apart();
            findings.extend(apart.map(|sink| own(plan, ground, &sink.name, &view)));
        }
        Err(error) => {
            findings.push(Finding::unknown(format!("{what}, lag"), error.to_string()));
            let apart = plan.sinks_apart().map(|sink| format!("{}, position", sink_named(&sink.name)));
            findings.extend(apart.map(|what| Finding::unknown(what, "what the log holds is not known")));
        }
    }
}

fn head(plan: &Plan, ground: &Ground, what: String, view: &View) -> Finding {
    let what = format!("{what}, lag");
    let wrong = view.partitions.iter().find_map(|(id, partition)| Some((id, partition.head.wrong.as_ref()?)));
    if let Some((id, wrong)) = wrong {
        let fix = format!("decide where it goes on: `{}`", positions::command(plan, ground, "--head"));
        return Finding::wrong(what, format!("partition {id}: {wrong}"), fix);
    }
    let lags: Vec<_> =
        view.partitions.values().filter_map(|it| it.head.next.map(|next| it.extent.end - next)).collect();
    let members = match view.members.as_deref() {
        None => String::new(),
        Some([]) => "; no member now".to_owned(),
        Some(members) => format!("; {} members", members.len()),
    };
    if lags.is_empty() {
        return Finding::good(what, format!("nothing is committed yet{members}"));
    }
    let of = format!("{} of {}", lags.len(), counted(view.partitions.len() as u32, "partition"));
    Finding::good(what, format!("{} messages, over {of}{members}", lags.iter().sum::<i64>()))
}

fn own(plan: &Plan, ground: &Ground, name: &std::sync::Arc<str>, view: &View) -> Finding {
    let what = format!("{}, position", sink_named(name));
    if let Some(why) = view.unread.get(name) {
        return Finding::unknown(what, why.clone());
    }
    let sinks: Vec<_> =
        view.partitions.iter().filter_map(|(id, it)| Some((id, &it.head, it.sinks.get(name)?))).collect();
    if let Some((id, wrong)) = sinks.iter().find_map(|(id, _, sink)| Some((id, sink.wrong.as_ref()?))) {
        let fix = format!("decide where it goes on: `{}`", positions::command(plan, ground, &format!("--sink {name}")));
        return Finding::wrong(what, format!("partition {id}: {wrong}"), fix);
    }
    let behind = sinks.iter().filter_map(|(_, head, sink)| Some(head.next? - sink.entry.next?));
    let behind: Vec<_> = behind.collect();
    match behind.is_empty() {
        true => Finding::good(what, "it begins at its first start"),
        false => Finding::good(what, format!("{} messages behind the head", behind.iter().sum::<i64>())),
    }
}
