//! A wire between workers and one service, which a test can freeze, cut, slow down, or hold one request on, and which can
//! alter what a broker says: the service itself serves others too.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::sleep;
use std::time::Duration;

#[allow(dead_code, reason = "some are for schedules of faults alone")]
#[derive(Clone, Copy)]
pub enum State {
    Flows,
    /// Connections stand, new ones are taken, and not a byte goes through.
    Frozen,
    /// Connections are closed as soon as they come.
    Cut,
    /// So much later, each way.
    Slow(Duration),
    /// Requests arrive; answers do not.
    HalfOpen,
    /// The requests of this kind, and what comes after them on their connections, arrive when the state is another one:
    /// also if nobody waits for the answer any more.
    Holds(fn(&[u8]) -> bool),
    /// The requests of this kind arrive; their answers, and what comes after them on their connections, do not.
    Mutes(fn(&[u8]) -> bool),
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    ToService,
    Back,
}

/// Does this wait until the state is another one? `is_mute`: the connection's answers do, as long as the state has it.
fn stops(state: State, way: Way, bytes: &[u8], is_mute: &AtomicBool) -> bool {
    match (state, way) {
        (State::Frozen, _) | (State::HalfOpen, Way::Back) => true,
        (State::Holds(is_it), Way::ToService) => is_it(bytes),
        (State::Mutes(is_it), Way::ToService) => {
            is_mute.fetch_or(is_it(bytes), Ordering::AcqRel);
            false
        }
        (State::Mutes(_), Way::Back) => is_mute.load(Ordering::Acquire),
        _ => {
            is_mute.store(false, Ordering::Release);
            false
        }
    }
}

/// What happens to a broker's answer on its way: the request, and the answer. One that is left empty does not arrive.
pub type Alter = Arc<dyn Fn(&[u8], &mut Vec<u8>) + Send + Sync>;

/// How the wire treats what flows.
#[derive(Clone, Default)]
struct Manner {
    /// The n-th connection breaks after n pieces of an answer, up to this one: every step of a start is broken off.
    breaks: usize,
    /// Requests and answers are Kafka's, and go on whole: each answer is that of the oldest request.
    alter: Option<Alter>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
}

#[derive(Clone)]
pub struct Wire {
    pub address: String,
    shared: Arc<Shared>,
}

impl Wire {
    /// To `target`, `host:port`.
    pub fn to(target: String) -> Wire {
        Wire::on(TcpListener::bind("127.0.0.1:0").unwrap(), target)
    }

    pub fn on(listener: TcpListener, target: String) -> Wire {
        Wire::with(listener, target, Manner::default())
    }

    /// The first connections break, each a little later than the one before.
    pub fn breaking(listener: TcpListener, target: String, breaks: usize) -> Wire {
        Wire::with(listener, target, Manner { breaks, ..Manner::default() })
    }

    /// To the only broker, which is made to say that it is here: clients go to where a broker says that it is.
    pub fn to_broker(listener: TcpListener, target: String, breaks: usize, alter: Alter) -> Wire {
        let port = |address: &str| i32::from(address.rsplit(':').next().unwrap().parse::<u16>().unwrap());
        let place = |port: i32| [b"127.0.0.1".as_slice(), &port.to_be_bytes()].concat();
        let there = place(port(&target));
        let here = place(listener.local_addr().unwrap().port().into());
        let alter: Alter = Arc::new(move |request, answer| {
            let found: Vec<_> = answer.windows(there.len()).enumerate().filter(|(_, part)| *part == there).collect();
            let found: Vec<_> = found.into_iter().map(|(at, _)| at).collect();
            found.into_iter().for_each(|at| answer[at..at + here.len()].copy_from_slice(&here));
            alter(request, answer);
        });
        Wire::with(listener, target, Manner { breaks, alter: Some(alter) })
    }

    fn with(listener: TcpListener, target: String, manner: Manner) -> Wire {
        let address = listener.local_addr().unwrap().to_string();
        let shared =
            Arc::new(Shared { state: Mutex::new(State::Flows), changed: Condvar::new(), open: Mutex::default() });
        let wire = Wire { address, shared: shared.clone() };
        std::thread::spawn(move || {
            for (number, near) in listener.incoming().map_while(Result::ok).enumerate() {
                take(&shared, near, &target, &manner, number);
            }
        });
        wire
    }

    pub fn freeze(&self) {
        self.set(State::Frozen);
    }

    pub fn cut(&self) {
        self.set(State::Cut);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    pub fn mend(&self) {
        self.set(State::Flows);
    }

    pub fn set(&self, state: State) {
        *self.shared.state.lock().unwrap() = state;
        self.shared.changed.notify_all();
    }
}

fn take(shared: &Arc<Shared>, near: TcpStream, target: &str, manner: &Manner, number: usize) {
    if matches!(*shared.state.lock().unwrap(), State::Cut) {
        return;
    }
    let Ok(far) = TcpStream::connect(target) else { return };
    let pieces_max = if number < manner.breaks { number } else { usize::MAX };
    let requests = Arc::new(Mutex::new(VecDeque::new()));
    let is_mute = Arc::new(AtomicBool::new(false));
    for (from, to, way, pieces_max) in [(&near, &far, Way::ToService, usize::MAX), (&far, &near, Way::Back, pieces_max)]
    {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let (shared, alter, requests) = (shared.clone(), manner.alter.clone(), requests.clone());
        let is_mute = is_mute.clone();
        std::thread::spawn(move || {
            for _ in 0..pieces_max {
                let next = match &alter {
                    None => piece(&mut from),
                    Some(alter) => frame(&mut from).map(|frame| converse(way, frame, &requests, alter)),
                };
                let Some(piece) = next else {
                    // whoever has said all may still listen: the other way goes on
                    drop(to.shutdown(Shutdown::Write));
                    return;
                };
                let state = shared.state.lock().unwrap();
                let state = *shared.changed.wait_while(state, |state| stops(*state, way, &piece, &is_mute)).unwrap();
                if let State::Slow(time) = state {
                    sleep(time);
                }
                if matches!(state, State::Cut) || to.write_all(&piece).is_err() {
                    break;
                }
            }
            drop(from.shutdown(Shutdown::Both));
            drop(to.shutdown(Shutdown::Both));
        });
    }
    shared.open.lock().unwrap().extend([near, far]);
}

/// As much as is there. None: nothing more.
fn piece(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 16 * 1024];
    let count = from.read(&mut bytes).ok()?;
    bytes.truncate(count);
    Some(bytes).filter(|bytes| !bytes.is_empty())
}

/// What comes after its length.
fn frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut frame).ok()?;
    Some(frame)
}

/// What goes on of a request or an answer, with its length.
fn converse(way: Way, mut frame: Vec<u8>, requests: &Mutex<VecDeque<Vec<u8>>>, alter: &Alter) -> Vec<u8> {
    let mut requests = requests.lock().unwrap();
    match way {
        Way::ToService => requests.push_back(frame.clone()),
        Way::Back => alter(&requests.pop_front().unwrap_or_default(), &mut frame),
    }
    if frame.is_empty() { frame } else { [&u32::to_be_bytes(frame.len() as u32)[..], &frame].concat() }
}
