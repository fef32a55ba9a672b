//! Who is in a consumer group, asked from outside of it. rdkafka's own list of groups knows the classic protocol only.
//!
//! Invariant: as in [`crate::topic_id`], nothing of librdkafka's outlives the call, and asking joins nothing.

use std::ffi::{CString, c_char};
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::bindings::*;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaErrorCode;

use crate::owned::{ANSWER_MARGIN_MS, Owned, Rights, ask_for_rights, rights, text, timeout_ms};

/// librdkafka does not ask again by itself.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A member of a group, as the group's coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub client_id: String,
    pub host: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupError {
    group: String,
    why: String,
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the members of group `{}` are not known: {}", self.group, self.why)
    }
}

impl std::error::Error for GroupError {}

/// The living members of a group, of either protocol; none where there is no such group. A coordinator that is on its
/// way to another broker is waited for.
pub fn members<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    timeout: Duration,
) -> Result<Vec<Member>, GroupError> {
    Ok(ask(client, group, timeout, Event::members)?.unwrap_or_default())
}

/// What this client may do with the group; None: there is no such group, and nobody says who may make it.
pub fn group_rights<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    timeout: Duration,
) -> Result<Option<Rights>, GroupError> {
    ask(client, group, timeout, Event::rights)
}

/// None: there is no such group.
fn ask<C: ClientContext, T>(
    client: &Client<C>,
    group: &str,
    timeout: Duration,
    read: impl Fn(&Event) -> Result<T, (RDKafkaErrorCode, String)>,
) -> Result<Option<T>, GroupError> {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, GroupIdNotFound, NotCoordinator};
    let failed = |why: String| GroupError { group: group.to_owned(), why };
    let name = CString::new(group).map_err(|_| failed("its name holds a zero byte".to_owned()))?;
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = describe(client, &mut [name.as_ptr()], left);
        let answer = answer.ok_or_else(|| failed(format!("no broker answered within {} ms", timeout.as_millis())))?;
        match read(&answer) {
            Ok(read) => return Ok(Some(read)),
            Err((GroupIdNotFound, _)) => return Ok(None),
            Err((NotCoordinator | CoordinatorLoadInProgress | CoordinatorNotAvailable, _)) if !left.is_zero() => {
                thread::sleep(AGAIN_AFTER);
            }
            Err((code, message)) => return Err(failed(format!("{message} ({code:?})"))),
        }
    }
}

/// Asks about the groups of these names, strings that live during the call; None: no answer came.
fn describe<C: ClientContext>(client: &Client<C>, names: &mut [*const c_char; 1], timeout: Duration) -> Option<Event> {
    let timeout_ms = timeout_ms(timeout);
    let mut sentence: [c_char; 256] = [0; 256];
    // SAFETY: `client` is borrowed for the whole block, so its handle lives; the names are copied by the call; each
    // object made here is destroyed by its guard, after the last use of it, and the queue before the client.
    // librdkafka allows every one of these calls from any thread.
    unsafe {
        let handle = client.native_ptr();
        let kind = rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
        let options = Owned(rd_kafka_AdminOptions_new(handle, kind), |it| rd_kafka_AdminOptions_destroy(it));
        // cannot be refused: the value is within its documented range
        rd_kafka_AdminOptions_set_request_timeout(options.0, timeout_ms, sentence.as_mut_ptr(), sentence.len());
        ask_for_rights(options.0);
        let queue = Owned(rd_kafka_queue_new(handle), |it| rd_kafka_queue_destroy(it));
        rd_kafka_DescribeConsumerGroups(handle, names.as_mut_ptr(), names.len(), options.0, queue.0);
        let event = rd_kafka_queue_poll(queue.0, timeout_ms.saturating_add(ANSWER_MARGIN_MS));
        (!event.is_null()).then(|| Event(Owned(event, |it| rd_kafka_event_destroy(it))))
    }
}

/// The answer to one DescribeConsumerGroups of one group.
struct Event(Owned<rd_kafka_event_t>);

impl Event {
    fn members(&self) -> Result<Vec<Member>, (RDKafkaErrorCode, String)> {
        let group = self.group()?;
        // SAFETY: the description belongs to the event, which lives as long as `self`; strings are copied.
        unsafe {
            let members = 0..rd_kafka_ConsumerGroupDescription_member_count(group);
            let member = |index| {
                let member = rd_kafka_ConsumerGroupDescription_member(group, index);
                Member {
                    client_id: text(rd_kafka_MemberDescription_client_id(member)),
                    host: text(rd_kafka_MemberDescription_host(member)),
                }
            };
            Ok(members.map(member).collect())
        }
    }

    fn rights(&self) -> Result<Rights, (RDKafkaErrorCode, String)> {
        let (group, mut count) = (self.group()?, 0);
        // SAFETY: as above; what is null is no right.
        Ok(unsafe { rights(rd_kafka_ConsumerGroupDescription_authorized_operations(group, &mut count), count) })
    }

    /// The one that was asked about. It lives as long as `self`.
    fn group(&self) -> Result<*const rd_kafka_ConsumerGroupDescription_t, (RDKafkaErrorCode, String)> {
        let event = self.0.0;
        // SAFETY: the event lives as long as `self`, and all that is read from it here belongs to it; strings are
        // copied before the block ends. A null is checked for wherever librdkafka's header allows one.
        unsafe {
            let failed = rd_kafka_event_error(event);
            if failed != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err((failed.into(), text(rd_kafka_event_error_string(event))));
            }
            let result = rd_kafka_event_DescribeConsumerGroups_result(event);
            let mut count = 0;
            let groups = match result.is_null() {
                true => std::ptr::null_mut(),
                false => rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count),
            };
            if groups.is_null() || count != 1 {
                return Err((RDKafkaErrorCode::BadMessage, format!("the answer is about {count} groups, not 1")));
            }
            let error = rd_kafka_ConsumerGroupDescription_error(*groups);
            let code = rd_kafka_error_code(error);
            if code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err((code.into(), text(rd_kafka_error_string(error))));
            }
            Ok(*groups)
        }
    }
}
