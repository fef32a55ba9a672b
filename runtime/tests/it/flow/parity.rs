//! Training and serving give the same features and the same answers, over the real services.

use super::rig::Rig;
use crate::parity::{FLIGHTS, assert_alike, requests};

#[test]
fn answers_are_those_that_training_gives_for_the_same_flights() {
    let rig = Rig::new("parity", 3);
    rig.produce(&requests());
    let mut process = rig.start();
    rig.await_records("response", FLIGHTS, &mut process);
    process.drain();
    assert_alike(&rig.folder.join("pipeline.toml"), &rig.folder, &rig.responses());
}
