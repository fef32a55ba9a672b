//! The whole of it as the outside sees it: messages into the request topic, and what then is in the response topic,
//! the collection, the directory and the rejects. The real binary, the real services.

mod apart;
mod crash;
mod doctor;
mod eyes;
mod guarded;
mod heartbeats;
mod input;
mod kerberos;
mod late;
mod life;
mod mistakes;
mod pair;
mod parity;
mod positions;
mod range;
mod redeploy;
mod refused;
pub mod rig;
mod secure;
mod source;
mod tokens;
mod topics;
mod wire;

pub use life::free_address;
pub use rig::Rig;
