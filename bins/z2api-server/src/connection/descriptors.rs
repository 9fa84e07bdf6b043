//! How many connections the limit of open files allows.

use super::gate::{Caps, RESERVE};

/// For the log, the runtime, files, and connections that carry no request.
const OWN: usize = 64;
/// Connections for each request that may be in flight or wait, where the files allow it: clients
/// keep connections without using them.
const EACH: usize = 4;
/// Connections beyond that.
const MORE: usize = 4096;

/// What this process may have open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptors(usize);

impl Descriptors {
    /// Raises the limit as far as the process may. Where there is none, there is no bound.
    pub(crate) fn raise() -> Self {
        let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX);
        Self(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// How many streams there can be at once: each needs a connection on either side.
    pub(crate) fn streams(self) -> usize {
        self.0.saturating_sub(OWN + RESERVE) / 2
    }

    /// The limits that hold, `set` or worked out from how many requests may be in flight and wait.
    pub(crate) fn caps(
        self,
        set: (Option<usize>, Option<usize>),
        in_flight: usize,
        waiting: usize,
    ) -> Caps {
        let requests = in_flight.saturating_add(waiting);
        let wanted = requests.saturating_mul(EACH).saturating_add(MORE);
        let free = self.0.saturating_sub(OWN + RESERVE);
        // Each request in flight has a connection upstream.
        let allowed = free.saturating_sub(in_flight).max(free / 2).max(1);
        let all = set.0.unwrap_or(wanted.min(allowed));
        let share = (all / 2).max(requests).min(all);
        Caps { all, per_address: set.1.unwrap_or(share) }
    }

    /// A line for whoever starts the gateway.
    pub(crate) fn tell(self, in_flight: usize) -> String {
        let (files, streams) = (self.0, self.streams());
        let line =
            format!("The limit of {files} open files has room for {streams} streams at once");
        if streams < in_flight {
            format!("warning: {line}; MAX_CONCURRENT_CONNECTIONS is {in_flight}. Raise the limit.")
        } else {
            format!("{line} (MAX_CONCURRENT_CONNECTIONS is {in_flight}).")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: usize, in_flight: usize, expected: (usize, usize)) {
        let caps = Descriptors(files).caps((None, None), in_flight, 500);
        assert_eq!((caps.all, caps.per_address), expected, "{files} files");
    }

    #[test]
    fn the_limits_leave_room_for_the_upstream() {
        check(1_048_576, 1000, (10_096, 5048));
        check(20_000, 9500, (10_372, 10_000));
        check(1024, 1000, (448, 448));
        check(64, 1000, (1, 1));
    }

    #[test]
    fn what_is_set_holds() {
        let caps = Descriptors(1024).caps((Some(7), Some(3)), 1000, 500);
        assert_eq!(caps, Caps { all: 7, per_address: 3 });
        let caps = Descriptors(20_000).caps((Some(7), None), 1000, 500);
        assert_eq!(caps, Caps { all: 7, per_address: 7 });
    }

    #[test]
    fn a_limit_that_is_too_low_is_a_warning() {
        assert!(Descriptors(20_000).tell(9500).starts_with("The limit of 20000 open files"));
        assert_eq!(Descriptors(20_000).streams(), 9936);
        assert!(Descriptors(1024).tell(1000).starts_with("warning:"));
    }
}
