//! Whether a member that holds no partition is in its group at all. A broker that breaks can lose what a client asked of
//! the group, and the client waits for the answer for longer than the pipeline's users do.
//!
//! Invariant: who is left out is told so twice in a row before it joins anew: partitions that were given a moment ago are
//! still on their way.

use std::time::{Duration, Instant};

use millrace_native::members::{Member, member_id, members};
use rdkafka::client::{Client, ClientContext};

use crate::error::{Error, Result};

/// Between two looks.
const LOOK_AFTER: Duration = Duration::from_secs(10);
/// Polling rests while the coordinator is asked.
const ASK_MAX: Duration = Duration::from_secs(2);

pub struct Admission {
    since: Instant,
    looked: Instant,
    was_left_out: bool,
    /// That it has nothing to do.
    is_said: bool,
}

impl Admission {
    pub fn awaited() -> Admission {
        let now = Instant::now();
        Admission { since: now, looked: now, was_left_out: false, is_said: false }
    }

    /// Asks the group's coordinator from time to time. An error: the group knows nothing of this member, or gave it
    /// partitions of which it never heard.
    pub fn look<C: ClientContext>(&mut self, client: &Client<C>, group: &str) -> Result<()> {
        if self.looked.elapsed() < LOOK_AFTER {
            return Ok(());
        }
        let found = members(client, group, ASK_MAX).map_err(|why| why.to_string());
        self.looked = Instant::now();
        match found.and_then(|members| left_out(&members, member_id(client).as_deref()).map_or(Ok(members.len()), Err)) {
            Ok(members) => {
                self.was_left_out = false;
                if !std::mem::replace(&mut self.is_said, true) {
                    tracing::info!(group, members, "the group has no partition for this worker now");
                }
                Ok(())
            }
            Err(why) if std::mem::replace(&mut self.was_left_out, true) => Err(Error::retry(format!(
                "group `{group}` has given this worker no partition for {} s ({why}): it joins anew",
                self.since.elapsed().as_secs()
            ))),
            Err(why) => {
                tracing::debug!(group, why, "left out of the group");
                Ok(())
            }
        }
    }
}

/// Why the member of this id waits in vain, if it does.
fn left_out(members: &[Member], id: Option<&str>) -> Option<String> {
    match members.iter().find(|member| Some(&*member.id) == id) {
        None => Some(format!("it is not among the group's {} members", members.len())),
        Some(member) if member.partitions > 0 => {
            Some(format!("it was given {}, and has not heard of it", member.partitions))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_unknown_or_does_not_know_what_it_has_is_left_out() {
        let member = |id: &str, partitions| Member {
            id: id.to_owned(),
            client_id: "worker".to_owned(),
            host: "here".to_owned(),
            partitions,
        };
        let members = [member("a", 4), member("b", 0)];
        assert_eq!(left_out(&members, Some("b")), None, "others have all of them");
        for (id, why) in [(Some("a"), "it was given 4"), (Some("c"), "not among the group's 2"), (None, "not among")] {
            let said = left_out(&members, id).expect("it is left out");
            assert!(said.contains(why), "{said}");
        }
    }
}
