//! A wire between a worker and one service, which a test can freeze and cut: the service itself serves others too.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Flows,
    /// Connections stand, new ones are taken, and not a byte goes through.
    Frozen,
    /// Connections are closed as soon as they come.
    Cut,
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

    fn set(&self, state: State) {
        *self.shared.state.lock().unwrap() = state;
        self.shared.changed.notify_all();
    }
}

fn take(shared: &Arc<Shared>, near: TcpStream, target: &str) {
    if *shared.state.lock().unwrap() == State::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(target) else { return };
    for (from, to) in [(&near, &far), (&far, &near)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let shared = shared.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 16 * 1024];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                let state = shared.state.lock().unwrap();
                let state = shared.changed.wait_while(state, |state| *state == State::Frozen).unwrap();
                let is_cut = *state == State::Cut;
                drop(state);
                if is_cut || to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            drop(from.shutdown(Shutdown::Both));
            drop(to.shutdown(Shutdown::Both));
        });
    }
    shared.open.lock().unwrap().extend([near, far]);
}
