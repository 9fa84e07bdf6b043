//! Watches over one connection's deadlines, from outside of its protocol.
//!
//! A timer within an answer's body does not run while the client does not read: nothing polls the
//! body then. So the deadlines are kept here, and whoever finds one passed drops the connection.
//!
//! It costs next to nothing while all is well: the phases change a few times per request, and the
//! clock is looked at now and then only, never per event.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use z2api_config::{Limits, Peers};

use super::shared::Shared;
use crate::body::Body;

/// What a client must take of an answer that waits for it, in bytes per second.
const LEAST_RATE: u64 = 1024;
/// How much longer than its slot an answer may be on its way: the error that ends it needs a
/// moment too.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a peer that has just connected may still begin once the gateway stops.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// How long things may take. All in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Deadlines {
    head: u64,
    idle: u64,
    stall: u64,
    answer: u64,
}

/// Why a connection is dropped or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    /// The peer closed its side.
    HungUp,
    /// The peer does not answer the kernel's questions, or those of HTTP/2, any more.
    Vanished,
    /// Not one byte came.
    Silent,
    /// A head began and did not end in time.
    SlowHead,
    /// No further request came.
    Idle,
    /// The peer does not take its answer.
    Stalled,
    /// An answer took longer than a slot may be held.
    Held,
    /// A connection of many requests has lived long enough: none may be stuck in it unseen.
    Old,
    /// What came is not what the protocol allows.
    Malformed,
    /// A head was larger than one may be.
    HeadTooLarge,
    /// The two sides did not agree on TLS.
    NoTls,
    /// There were too many connections.
    TooMany,
    /// There were too many of the operator's.
    TooManyOperators,
    /// The process had no descriptor left for it.
    OutOfFiles,
}

impl Why {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::HungUp => "hung_up",
            Self::Vanished => "vanished",
            Self::Silent => "silent",
            Self::SlowHead => "slow_head",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Held => "held_too_long",
            Self::Old => "old",
            Self::Malformed => "malformed",
            Self::HeadTooLarge => "head_too_large",
            Self::NoTls => "no_tls",
            Self::TooMany => "too_many",
            Self::TooManyOperators => "too_many_operators",
            Self::OutOfFiles => "out_of_files",
        }
    }

    /// Whether it has a line in the log: whoever wanted to ask something got no answer from the
    /// service, and so has no record.
    pub(crate) fn is_told(self) -> bool {
        match self {
            Self::SlowHead
            | Self::Malformed
            | Self::HeadTooLarge
            | Self::NoTls
            | Self::TooMany
            | Self::TooManyOperators
            | Self::OutOfFiles => true,
            Self::HungUp
            | Self::Vanished
            | Self::Silent
            | Self::Idle
            | Self::Stalled
            | Self::Held
            | Self::Old => false,
        }
    }
}

/// What goes on. The number is what is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Accepted; no byte has come.
    Fresh,
    /// A head is on its way.
    Head,
    /// A request is being served; its own timers run.
    Busy,
    /// The head of its answer is there.
    Answering,
    /// Its whole answer is there, but has not left.
    Leaving,
    /// Between two requests.
    Idle,
}

/// The state of one connection. All times are milliseconds since it was accepted.
#[derive(Debug)]
pub(crate) struct Watch {
    accepted: Instant,
    deadlines: Deadlines,
    /// The phase in the lowest byte, and above it since when.
    phase: AtomicU64,
    /// Requests that are not over. More than one only in HTTP/2.
    open: AtomicUsize,
    /// Several requests at once: there are no phases of one.
    multiplexed: AtomicBool,
    /// Until when a first byte must have come.
    patience: AtomicU64,
    /// Their answers.
    shared: Mutex<Vec<Weak<Shared>>>,
    /// How the peer is gone, by the first word of the socket: it says it once.
    gone: OnceLock<Why>,
    /// Answers that are all there, but have not left; and whether there are any.
    leaving: Mutex<Vec<Body>>,
    any_leaving: AtomicBool,
    /// Why it is dropped, once it is.
    dropped: OnceLock<Why>,
    /// It has been told to take no further requests.
    retired: AtomicBool,
    written: AtomicU64,
    blocked: AtomicBool,
    /// Since when the socket has been full at each look, and what had been written then.
    stint: AtomicU64,
    stint_written: AtomicU64,
}

const NO_STINT: u64 = u64::MAX;

impl Watch {
    pub(crate) fn new(peers: &Peers, limits: &Limits) -> Self {
        Self {
            accepted: Instant::now(),
            deadlines: Deadlines {
                head: millis(peers.head),
                idle: millis(peers.idle),
                stall: millis(peers.stall),
                answer: millis(limits.hold + LAST_WORDS),
            },
            phase: AtomicU64::new(Phase::Fresh as u64),
            open: AtomicUsize::new(0),
            multiplexed: AtomicBool::new(false),
            shared: Mutex::default(),
            gone: OnceLock::new(),
            leaving: Mutex::default(),
            any_leaving: AtomicBool::new(false),
            dropped: OnceLock::new(),
            patience: AtomicU64::new(millis(peers.head)),
            retired: AtomicBool::new(false),
            written: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            stint: AtomicU64::new(NO_STINT),
            stint_written: AtomicU64::new(0),
        }
    }

    /// The connection speaks HTTP/2.
    pub(crate) fn multiplexed(&self) {
        self.multiplexed.store(true, Relaxed);
    }

    /// One of many answers on this connection begins.
    pub(crate) fn shares(&self, answer: &Arc<Shared>) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|answer| answer.strong_count() > 0);
        shared.push(Arc::downgrade(answer));
    }

    /// The gateway stops: a peer that has not said anything yet must do so now.
    pub(crate) fn hurry(&self) {
        self.patience.fetch_min(self.now() + millis(FIRST_WORDS), Relaxed);
    }

    /// The connection takes no further requests.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Relaxed);
    }

    /// The connection is about to be dropped, with what is open in it.
    pub(crate) fn drops(&self, why: Why) {
        self.dropped.get_or_init(|| why);
    }

    /// The socket says that the peer is gone. How it is counts from the first time on: later the
    /// socket is merely closed.
    pub(crate) fn breaks(&self, how: Why) -> Why {
        *self.gone.get_or_init(|| how)
    }

    /// How the peer is gone, if the socket has said so.
    pub(crate) fn gone(&self) -> Option<Why> {
        self.gone.get().copied()
    }

    /// Why it is dropped, if it is.
    pub(crate) fn dropped(&self) -> Option<Why> {
        self.dropped.get().copied()
    }

    /// A request has been understood.
    pub(crate) fn request_begins(&self) {
        self.open.fetch_add(1, Relaxed);
        self.enter(Phase::Busy);
    }

    /// The head of its answer is there.
    pub(crate) fn answer_begins(&self) {
        if !self.multiplexed.load(Relaxed) {
            self.enter(Phase::Answering);
        }
    }

    /// Nothing more comes of its answer.
    pub(crate) fn answer_ends(&self) {
        let was_last = self.open.fetch_sub(1, Relaxed) == 1;
        if was_last {
            let multiplexed = self.multiplexed.load(Relaxed);
            if multiplexed {
                self.enter(Phase::Idle);
            } else {
                self.keep_since(Phase::Leaving);
            }
        }
    }

    /// A whole answer has been taken from its body, and is on its way to the socket. Its request is
    /// not over before it is there.
    pub(crate) fn leaves(&self, answer: Body) {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
        self.any_leaving.store(true, Relaxed);
    }

    /// What has not left does not leave any more: the connection is over.
    pub(crate) fn nothing_leaves(&self) {
        for mut answer in self.take_leaving() {
            if let Some(why) = self.dropped() {
                answer.dropped(why);
            }
        }
    }

    fn take_leaving(&self) -> Vec<Body> {
        self.any_leaving.store(false, Relaxed);
        std::mem::take(&mut *self.leaving.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes have come.
    pub(crate) fn came(&self) {
        match self.phase() {
            Phase::Fresh => self.keep_since(Phase::Head),
            Phase::Idle if !self.multiplexed.load(Relaxed) => self.enter(Phase::Head),
            Phase::Idle | Phase::Head | Phase::Busy | Phase::Answering | Phase::Leaving => {}
        }
    }

    /// The socket has taken so many bytes.
    pub(crate) fn went(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
        if self.blocked.load(Relaxed) {
            self.blocked.store(false, Relaxed);
        }
    }

    /// The socket takes no more for now.
    pub(crate) fn is_full(&self) {
        self.blocked.store(true, Relaxed);
        if self.stint.load(Relaxed) == NO_STINT {
            self.begin_stint(self.now());
        }
    }

    /// Everything written so far has been handed to the socket.
    pub(crate) fn flushed(&self) {
        if self.phase() == Phase::Leaving {
            self.enter(Phase::Idle);
        }
        // Asked with each write of a stream.
        if self.any_leaving.load(Relaxed) {
            self.take_leaving().iter_mut().for_each(Body::sent);
        }
    }

    /// Whether not one byte has been read.
    pub(crate) fn is_fresh(&self) -> bool {
        self.phase() == Phase::Fresh
    }

    /// Whether it is between two requests, as far as bytes have been read.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase() == Phase::Idle
    }

    /// Whether an answer is on its way to the peer, or a part of it may be. Of many, that is not
    /// known.
    pub(crate) fn has_answer(&self) -> bool {
        matches!(self.phase(), Phase::Answering | Phase::Leaving)
    }

    /// Whether a request has been understood and its answer has not left.
    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.phase(), Phase::Busy | Phase::Answering | Phase::Leaving)
    }

    /// How long the head that is on its way has taken so far.
    pub(crate) fn head_took(&self) -> Duration {
        match self.phase() {
            Phase::Fresh | Phase::Head => {
                let since = self.phase.load(Relaxed) >> 8;
                Duration::from_millis(self.now().saturating_sub(since))
            }
            Phase::Busy | Phase::Answering | Phase::Leaving | Phase::Idle => Duration::ZERO,
        }
    }

    /// How long a head may take.
    pub(crate) fn head_limit(&self) -> Duration {
        Duration::from_millis(self.deadlines.head)
    }

    /// A request that was not understood is answered.
    pub(crate) fn refuses(&self) {
        self.enter(Phase::Leaving);
    }

    /// Resolves when a deadline has passed.
    pub(crate) async fn expired(&self) -> Why {
        loop {
            match self.look(self.now()) {
                Err(why) => return why,
                Ok(next) => sleep_until(self.accepted + Duration::from_millis(next)).await,
            }
        }
    }

    /// What has passed by now, or when to look again.
    ///
    /// What begins after a look ends after the next one, for no two looks are further apart than
    /// the shortest deadline. So nobody has to be woken when a phase changes.
    fn look(&self, now: u64) -> Result<u64, Why> {
        let Deadlines { head, idle, stall, answer } = self.deadlines;
        let since = self.phase.load(Relaxed) >> 8;
        let due = match self.phase() {
            Phase::Fresh => Some((self.patience.load(Relaxed), Why::Silent)),
            Phase::Head => Some((since + head, Why::SlowHead)),
            Phase::Idle => Some((since + idle, Why::Idle)),
            Phase::Answering | Phase::Leaving => Some((since + answer, Why::Held)),
            Phase::Busy => None,
        };
        let mut next = now + head.min(idle).min(answer).min(stall.div_ceil(4)).max(1);
        self.let_go_of_the_stuck(now);
        for (due, why) in due.into_iter().chain(self.stint_due(now)).chain(self.age_due()) {
            if due <= now {
                return Err(why);
            }
            next = next.min(due);
        }
        Ok(next)
    }

    /// When the stint is over, if one is. It ends with a look that finds room in the socket, and
    /// begins anew where the client has taken enough.
    fn stint_due(&self, now: u64) -> Option<(u64, Why)> {
        if !self.blocked.load(Relaxed) {
            self.stint.store(NO_STINT, Relaxed);
            return None;
        }
        let since = self.stint.load(Relaxed);
        let taken = self.written.load(Relaxed) - self.stint_written.load(Relaxed);
        let stall = self.deadlines.stall;
        if now >= since.saturating_add(stall) && taken * 1000 >= stall * LEAST_RATE {
            self.begin_stint(now);
        }
        Some((self.stint.load(Relaxed).saturating_add(stall), Why::Stalled))
    }

    /// An HTTP/2 stream can be stuck while its connection is not: the client grants it nothing.
    fn let_go_of_the_stuck(&self, now: u64) {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for answer in shared.iter().filter_map(Weak::upgrade) {
            let is_stuck = |since: u64| since.saturating_add(self.deadlines.stall) <= now;
            if answer.waiting_since().is_some_and(is_stuck) {
                answer.let_go(Why::Stalled);
            }
        }
    }

    /// A stream that has ended can have left bytes that its client does not take. So no connection
    /// of many requests gets older than two answers may take.
    fn age_due(&self) -> Option<(u64, Why)> {
        let answer = self.deadlines.answer;
        match (self.multiplexed.load(Relaxed), self.retired.load(Relaxed)) {
            (false, _) => None,
            (true, false) => Some((answer, Why::Old)),
            (true, true) => Some((2 * answer, Why::Held)),
        }
    }

    fn begin_stint(&self, now: u64) {
        self.stint_written.store(self.written.load(Relaxed), Relaxed);
        self.stint.store(now, Relaxed);
    }

    fn phase(&self) -> Phase {
        const ALL: [Phase; 6] =
            [Phase::Fresh, Phase::Head, Phase::Busy, Phase::Answering, Phase::Leaving, Phase::Idle];
        ALL[(self.phase.load(Relaxed) & 0xff) as usize]
    }

    fn enter(&self, phase: Phase) {
        self.phase.store((self.now() << 8) | phase as u64, Relaxed);
    }

    /// Enters a phase whose deadline counts from where the last one's did.
    fn keep_since(&self, phase: Phase) {
        let since = self.phase.load(Relaxed) & !0xff;
        self.phase.store(since | phase as u64, Relaxed);
    }

    /// The time as the watch counts it: milliseconds since the connection was accepted.
    pub(crate) fn now(&self) -> u64 {
        millis(self.accepted.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX >> 16)
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use tokio::time::sleep;
    use z2api_config::{Config, Flags};

    use super::*;

    fn watch() -> Watch {
        let config = Config::from_lookup(&Flags::default(), &|_| None).unwrap();
        Watch::new(&config.peers, &config.limits)
    }

    /// Runs `peer` beside the watch; what has passed, and after how many seconds.
    async fn check(peer: impl AsyncFnOnce(&Watch)) -> Option<(Why, u64)> {
        let watch = watch();
        let peer = async {
            peer(&watch).await;
            sleep(Duration::from_secs(10_000)).await;
        };
        tokio::select! {
            why = watch.expired() => Some((why, watch.accepted.elapsed().as_secs())),
            () = peer => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_hurries_only_those_who_have_not_begun() {
        let hurried = async |watch: &Watch| {
            seconds(2).await;
            watch.hurry();
        };
        // The watch is looked at anew when the gateway stops; here, at its next look.
        assert_eq!(check(hurried).await, Some((Why::Silent, 7)));
        let has_begun = async |watch: &Watch| {
            watch.came();
            watch.hurry();
        };
        assert_eq!(check(has_begun).await, Some((Why::SlowHead, 10)));
    }

    fn seconds(seconds: u64) -> impl Future<Output = ()> {
        sleep(Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_ten_seconds_from_the_connection_on() {
        assert_eq!(check(async |_| {}).await, Some((Why::Silent, 10)));
        let drips = async |watch: &Watch| {
            seconds(9).await;
            watch.came();
        };
        assert_eq!(check(drips).await, Some((Why::SlowHead, 10)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_has_ten_seconds_from_its_first_byte() {
        let begins_again = async |watch: &Watch| {
            watch.request_begins();
            watch.answer_begins();
            watch.answer_ends();
            watch.flushed();
            seconds(33).await;
            watch.came();
            seconds(5).await;
            watch.came();
        };
        assert_eq!(check(begins_again).await, Some((Why::SlowHead, 43)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_kept_for_its_time() {
        let asks_once = async |watch: &Watch| {
            seconds(2).await;
            watch.came();
            watch.request_begins();
            watch.answer_begins();
            watch.answer_ends();
            watch.flushed();
        };
        assert_eq!(check(asks_once).await, Some((Why::Idle, 77)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_as_long_as_a_slot_is_held_and_a_moment_more() {
        let asks = async |watch: &Watch| {
            watch.request_begins();
            seconds(100).await;
            watch.answer_begins();
        };
        assert_eq!(check(asks).await, Some((Why::Held, 702)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_stuck_and_one_that_takes_enough_is_not() {
        let takes = |bytes: usize| {
            async move |watch: &Watch| {
                watch.request_begins();
                for _ in 0..300 {
                    watch.is_full();
                    seconds(1).await;
                    if bytes > 0 {
                        watch.went(bytes);
                        watch.is_full();
                    }
                }
                watch.went(1);
            }
        };
        assert_eq!(check(takes(0)).await, Some((Why::Stalled, 30)));
        assert_eq!(check(takes(900)).await, Some((Why::Stalled, 30)));
        assert_eq!(check(takes(1100)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_pauses_within_its_time_is_kept() {
        let pauses = async |watch: &Watch| {
            watch.request_begins();
            for _ in 0..3 {
                watch.is_full();
                seconds(25).await;
                watch.went(1_000_000);
                seconds(10).await;
            }
        };
        assert_eq!(check(pauses).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_of_many_requests_grows_no_older_than_two_answers() {
        let busy = async |watch: &Watch| {
            watch.multiplexed();
            watch.request_begins();
        };
        assert_eq!(check(busy).await, Some((Why::Old, 602)));
        let retired = async |watch: &Watch| {
            watch.multiplexed();
            watch.request_begins();
            watch.retire();
        };
        assert_eq!(check(retired).await, Some((Why::Held, 1204)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_socket_now_and_then_is_no_stall() {
        let slow_stream = async |watch: &Watch| {
            watch.request_begins();
            for _ in 0..500 {
                watch.is_full();
                sleep(Duration::from_millis(10)).await;
                watch.went(10);
                sleep(Duration::from_millis(990)).await;
            }
        };
        assert_eq!(check(slow_stream).await, None);
    }
}
