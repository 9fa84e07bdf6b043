//! When a quota begins anew, as the upstream's message says it.
//!
//! The caps by day, window and week (codes 1304, 1308, 1310) name the moment in their text alone:
//! "… will reset at 2025-10-12 14:00:00". No zone is named; the upstream's own is taken.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// China's standard time, in hours.
const ZONE: i8 = 8;
/// A moment further away is not believed: the longest cap is a week.
const FARTHEST: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// How long it is until the moment in the text. None without one that lies ahead.
pub(crate) fn of(text: &str) -> Option<Duration> {
    until(text, Timestamp::now())
}

fn until(text: &str, now: Timestamp) -> Option<Duration> {
    const LENGTH: usize = "2025-10-12 14:00:00".len();
    let starts = text.char_indices().map(|(at, _)| at);
    let mut moments = starts.filter_map(|at| moment(text.get(at..at + LENGTH)?));
    let wait = Duration::try_from(moments.next()?.duration_since(now)).ok()?;
    (wait <= FARTHEST).then_some(wait)
}

fn moment(text: &str) -> Option<Timestamp> {
    if !text.starts_with("20") || !text.contains(':') {
        return None;
    }
    let local: DateTime = text.parse().ok()?;
    Some(local.to_zoned(TimeZone::fixed(Offset::constant(ZONE))).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: Option<u64>) {
        let now = "2025-10-12T05:00:00Z".parse().unwrap();
        assert_eq!(until(text, now).map(|wait| wait.as_secs()), seconds, "{text}");
    }

    #[test]
    fn a_moment_ahead_is_found_wherever_it_stands() {
        check("Usage limit reached. It will reset at 2025-10-12 14:00:00.", Some(3600));
        check("您的限额将在 2025-10-12 13:00:07 重置。", Some(7));
        check("2025-10-13T13:00:00", Some(24 * 3600));
    }

    #[test]
    fn what_is_past_absurd_or_no_moment_is_none() {
        for text in [
            "",
            "try later",
            "at 2025-10-12 12:59:59",
            "2026-10-12 14:00:00",
            "2025-99-12 14:00:00",
        ] {
            check(text, None);
        }
    }
}
