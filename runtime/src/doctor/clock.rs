//! How far a service's clock is from this host's.

use super::Finding;

/// Figures of lag and age are this wrong; nothing else is.
const ODD_MS: i64 = 2_000;
/// What certificates and tickets bear.
const WRONG_MS: i64 = 300_000;

/// The answer was asked for at `asked_ms` and had at `answered_ms`, both by this host's clock.
pub fn compare(what: &str, asked_ms: i64, answered_ms: i64, theirs_ms: i64) -> Finding {
    let what = format!("{what}, clock");
    // it was read somewhere in between
    let (before, after) = (asked_ms - theirs_ms, theirs_ms - answered_ms);
    let (apart_ms, how) = if before > after { (before, "behind") } else { (after, "ahead of") };
    let said = || format!("{}.{:03} s {how} this host's", apart_ms / 1_000, apart_ms % 1_000);
    let fix = "keep both clocks by NTP (chrony, systemd-timesyncd): figures of lag and age are that wrong, and \
               certificates and tickets fail";
    match apart_ms {
        WRONG_MS.. => Finding::wrong(what, said(), fix),
        ODD_MS.. => Finding::odd(what, said(), fix),
        1.. => Finding::good(what, said()),
        _ => Finding::good(what, format!("within the {} ms that the answer took", answered_ms - asked_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Health;

    #[test]
    fn a_clock_is_judged_by_what_cannot_be_the_way_of_the_answer() {
        for (theirs_ms, health, found) in [
            (1_000_050, Health::Good, "within the 100 ms that the answer took"),
            (1_001_100, Health::Good, "1.000 s ahead of this host's"),
            (1_005_100, Health::Odd, "5.000 s ahead of this host's"),
            (997_000, Health::Odd, "3.000 s behind this host's"),
            (0, Health::Wrong, "1000.000 s behind this host's"),
        ] {
            let finding = compare("m", 1_000_000, 1_000_100, theirs_ms);
            assert_eq!((finding.health, finding.found.as_str()), (health, found));
        }
    }
}
