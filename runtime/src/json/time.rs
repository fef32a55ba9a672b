//! Dates and timestamps as text, both ways. A date has no zone: it cannot move by a day.

use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDate, SecondsFormat};

const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();

/// "YYYY-MM-DD", a day that exists, as days since 1970-01-01.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0u32, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
    };
    let date = NaiveDate::from_ymd_opt(number(&bytes[..4])? as i32, number(&bytes[5..7])?, number(&bytes[8..])?)?;
    i32::try_from(date.signed_duration_since(EPOCH).num_days()).ok()
}

/// The years 0 to 9999 in UTC, in microseconds: a zone may lead out of them, and then no text says the moment.
const MICROS: RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;

/// ISO 8601 with a zone, as microseconds since 1970-01-01T00:00:00Z; finer parts are cut off.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let micros = DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros();
    MICROS.contains(&micros).then_some(micros)
}

/// None: beyond the years that the calendar has.
pub fn date(days: i32) -> Option<NaiveDate> {
    EPOCH.checked_add_signed(chrono::TimeDelta::days(days.into()))
}

/// "2013-05-06T07:08:09.123456Z", with as many digits as it needs (0, 3 or 6).
pub fn format_timestamp(micros: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(micros).filter(|_| MICROS.contains(&micros));
    time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// Of a message's time, which its producer may have made up: None where no text says the moment.
pub fn micros(ms: i64) -> Option<i64> {
    ms.checked_mul(1000).filter(|micros| MICROS.contains(micros))
}

/// The same as text.
pub fn format_millis(ms: i64) -> Option<String> {
    micros(ms).and_then(format_timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_that_exist_are_dates() {
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(parse_date("2013-12-31"), Some(16070));
        assert_eq!(parse_date("2012-02-29"), Some(15399));
        for wrong in ["2013-02-29", "2013-13-01", "2013-1-01", "2013-01-01T", "+013-01-01", "", "２013-1-1"] {
            assert_eq!(parse_date(wrong), None, "{wrong}");
        }
        assert_eq!(date(15399).unwrap().to_string(), "2012-02-29");
    }

    #[test]
    fn timestamps_need_a_zone() {
        let micros = 1_367_824_089_123_456;
        assert_eq!(parse_timestamp("2013-05-06T07:08:09.123456Z"), Some(micros));
        assert_eq!(parse_timestamp("2013-05-06T09:08:09.123456+02:00"), Some(micros));
        assert_eq!(parse_timestamp("2013-05-06T07:08:09"), None);
        for (last, beyond) in [
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00+00:01"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999-00:01"),
        ] {
            assert!(parse_timestamp(last).is_some() && parse_timestamp(beyond).is_none(), "{last}");
        }
        assert_eq!(format_timestamp(micros).unwrap(), "2013-05-06T07:08:09.123456Z");
        assert_eq!(format_millis(micros / 1000).unwrap(), "2013-05-06T07:08:09.123Z");
        let beyond = MICROS.end() / 1000 + 1;
        assert_eq!([i64::MIN, beyond, i64::MAX].map(format_millis), [None, None, None], "a producer may say anything");
    }
}
