//! How many connections the limit of open files allows.

use super::gate::{Caps, OPERATORS, RESERVE};

/// For the log, the runtime, files, and connections that carry no request.
const OWN: usize = 64;
/// Connections for each request that may be in flight or wait, where the files allow it: clients
/// keep connections without using them.
const EACH: usize = 4;
/// Connections beyond that.
const MORE: usize = 4096;

/// What this process may have open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptors {
    files: usize,
    /// Of those, what is set aside for the gateway itself and for who is let in beyond the limit.
    set_aside: usize,
}

impl Descriptors {
    /// Raises the limit as far as the process may. Where there is none, there is no bound.
    /// `admin_apart`: the operator's connections come by a way of their own, beside the clients'.
    pub(crate) fn raise(admin_apart: bool) -> Self {
        let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(u64::MAX);
        Self::of(usize::try_from(limit).unwrap_or(usize::MAX), admin_apart)
    }

    fn of(files: usize, admin_apart: bool) -> Self {
        let operators = if admin_apart { OPERATORS } else { 0 };
        Self { files, set_aside: OWN + RESERVE + operators }
    }

    /// How many streams there can be at once: each needs a connection on either side.
    pub(crate) fn streams(self) -> usize {
        self.free() / 2
    }

    fn free(self) -> usize {
        self.files.saturating_sub(self.set_aside)
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
        let free = self.free();
        // Each request in flight has a connection upstream.
        let allowed = free.saturating_sub(in_flight).max(free / 2).max(1);
        let all = set.0.unwrap_or(wanted.min(allowed));
        let share = (all / 2).max(requests).min(all);
        Caps { all, per_address: set.1.unwrap_or(share) }
    }

    /// A line for whoever starts the gateway.
    pub(crate) fn tell(self, in_flight: usize) -> String {
        let (files, streams) = (self.files, self.streams());
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
        let caps = Descriptors::of(files, false).caps((None, None), in_flight, 500);
        assert_eq!((caps.all, caps.per_address), expected, "{files} files");
    }

    #[test]
    fn the_limits_leave_room_for_the_upstream() {
        check(1_048_576, 1000, (10_096, 5048));
        check(20_000, 9500, (10_372, 10_000));
        check(1024, 1000, (448, 448));
        check(64, 1000, (1, 1));
        let caps = Descriptors::of(1024, true).caps((None, None), 1000, 500);
        assert_eq!(caps.all, 448 - OPERATORS / 2, "the operator's connections need room too");
    }

    #[test]
    fn what_is_set_holds() {
        let caps = Descriptors::of(1024, false).caps((Some(7), Some(3)), 1000, 500);
        assert_eq!(caps, Caps { all: 7, per_address: 3 });
        let caps = Descriptors::of(20_000, false).caps((Some(7), None), 1000, 500);
        assert_eq!(caps, Caps { all: 7, per_address: 7 });
    }

    #[test]
    fn a_limit_that_is_too_low_is_a_warning() {
        assert!(
            Descriptors::of(20_000, false).tell(9500).starts_with("The limit of 20000 open files")
        );
        assert_eq!(Descriptors::of(20_000, false).streams(), 9936);
        assert!(Descriptors::of(1024, false).tell(1000).starts_with("warning:"));
    }
}
