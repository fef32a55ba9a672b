//! A wire between workers and one service, which a test can freeze, cut, slow down, or hold one request on: the service
//! itself serves others too.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
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
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    ToService,
    Back,
}

impl State {
    fn stops(self, way: Way, bytes: &[u8]) -> bool {
        match self {
            State::Frozen => true,
            State::HalfOpen => way == Way::Back,
            State::Holds(is_it) => way == Way::ToService && is_it(bytes),
            State::Flows | State::Cut | State::Slow(_) => false,
        }
    }
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
        let address = listener.local_addr().unwrap().to_string();
        let shared =
            Arc::new(Shared { state: Mutex::new(State::Flows), changed: Condvar::new(), open: Mutex::default() });
        let wire = Wire { address, shared: shared.clone() };
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                take(&shared, near, &target);
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

fn take(shared: &Arc<Shared>, near: TcpStream, target: &str) {
    if matches!(*shared.state.lock().unwrap(), State::Cut) {
        return;
    }
    let Ok(far) = TcpStream::connect(target) else { return };
    for (from, to, way) in [(&near, &far, Way::ToService), (&far, &near, Way::Back)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let shared = shared.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 16 * 1024];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                let state = shared.state.lock().unwrap();
                let state = *shared.changed.wait_while(state, |state| state.stops(way, &bytes[..count])).unwrap();
                if let State::Slow(time) = state {
                    sleep(time);
                }
                if matches!(state, State::Cut) || to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            drop(from.shutdown(Shutdown::Both));
            drop(to.shutdown(Shutdown::Both));
        });
    }
    shared.open.lock().unwrap().extend([near, far]);
}
