//! Scalars as JSON. The shapes are in [`super::encode`].
//!
//! Invariant: what is written is one JSON value, whatever the number.
//! Knows nothing of columns.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

const DAY_SECONDS: i64 = 86_400;

/// Booleans, numbers and texts; a number that is not finite is `null`.
pub fn write_json(value: impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &value).expect("a scalar serializes, and a Vec takes every write");
}

pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    BASE64.encode_slice(bytes, &mut out[start..]).expect("base64 with padding takes 4 bytes for every 3");
    out.push(b'"');
}

/// Microseconds since 1970-01-01T00:00:00Z.
pub fn write_timestamp(micros: i64, out: &mut Vec<u8>) {
    write_moment(micros, 1_000_000, "Z", out);
}

/// A count of parts of a second since 1970-01-01T00:00:00, and what to say of the zone.
pub fn write_moment(count: i64, per_second: i64, zone: &str, out: &mut Vec<u8>) {
    let seconds = count.div_euclid(per_second);
    out.push(b'"');
    date(seconds.div_euclid(DAY_SECONDS), out);
    out.push(b'T');
    time(seconds.rem_euclid(DAY_SECONDS), count.rem_euclid(per_second), per_second, out);
    out.extend_from_slice(zone.as_bytes());
    out.push(b'"');
}

/// A count of parts of a second since midnight; `null` if no day has it.
pub fn write_time(count: i64, per_second: i64, out: &mut Vec<u8>) {
    if !(0..DAY_SECONDS * per_second).contains(&count) {
        return out.extend_from_slice(b"null");
    }
    out.push(b'"');
    time(count / per_second, count % per_second, per_second, out);
    out.push(b'"');
}

/// Days since 1970-01-01.
pub fn write_date(days: i32, out: &mut Vec<u8>) {
    out.push(b'"');
    date(days.into(), out);
    out.push(b'"');
}

fn date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    if (0..=9999).contains(&year) {
        write_digits(year, 4, out);
    } else {
        write!(out, "{year:+07}").expect("a Vec takes every write");
    }
    out.push(b'-');
    write_digits(month, 2, out);
    out.push(b'-');
    write_digits(day, 2, out);
}

/// Six decimals, or nine where parts are finer than microseconds.
fn time(seconds: i64, part: i64, per_second: i64, out: &mut Vec<u8>) {
    let (decimals, scale) = if per_second > 1_000_000 { (9, 1_000_000_000) } else { (6, 1_000_000) };
    write_digits(seconds / 3600, 2, out);
    for (mark, number, digits) in
        [(b':', seconds / 60 % 60, 2), (b':', seconds % 60, 2), (b'.', part * (scale / per_second), decimals)]
    {
        out.push(mark);
        write_digits(number, digits, out);
    }
}

/// The last `digits` (at most 9) decimal digits, with leading zeros.
fn write_digits(mut number: i64, digits: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; 9];
    for digit in text[..digits].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&text[..digits]);
}

/// Year, month and day in the proleptic Gregorian calendar, of days since 1970-01-01. The year is taken to begin in
/// March, so that the leap day is its last, and 400 of them (146,097 days) repeat.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn moments_keep_what_their_unit_has() {
        let moment = |count, per_second| said(|out| write_moment(count, per_second, "", out));
        assert_eq!(moment(1_367_824_089_123, 1_000), r#""2013-05-06T07:08:09.123000""#);
        assert_eq!(moment(1_367_824_089_123_456, 1_000_000), r#""2013-05-06T07:08:09.123456""#);
        assert_eq!(moment(1_367_824_089_123_456_789, 1_000_000_000), r#""2013-05-06T07:08:09.123456789""#);
        assert_eq!(moment(-1, 1_000_000_000), r#""1969-12-31T23:59:59.999999999""#);
        assert_eq!(moment(i64::MAX, 1_000), r#""+292278994-08-17T07:12:55.807000""#);
        assert_eq!(moment(i64::MIN, 1_000), r#""-292275055-05-16T16:47:04.192000""#);
    }

    #[test]
    fn a_time_is_one_of_a_day() {
        let time = |count, per_second| said(|out| write_time(count, per_second, out));
        assert_eq!(time(0, 1_000), r#""00:00:00.000000""#);
        assert_eq!(time(86_399_999_999, 1_000_000), r#""23:59:59.999999""#);
        assert_eq!(time(86_400_000_000, 1_000_000), "null");
        assert_eq!(time(-1, 1_000_000_000), "null");
    }

    /// Days of each month, counted one by one: nothing that `civil` shares.
    #[test]
    fn dates_agree_with_counting_days() {
        let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let mut days = -719_528; // 0000-01-01
        for year in 0..=2400 {
            for (month, length) in [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate() {
                for day in 1..=length + i64::from(month == 1 && leap(year)) {
                    assert_eq!(civil(days), (year, month as i64 + 1, day));
                    days += 1;
                }
            }
        }
        assert_eq!(civil(0), (1970, 1, 1));
    }
}
