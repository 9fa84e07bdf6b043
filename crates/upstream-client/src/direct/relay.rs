//! A waker that tells apart who is woken: the task, or whoever polls at that moment.
//!
//! An answer and its connection are polled in one task, and hyper lets them wake each other. Woken
//! through the runtime, the task would run once more for each piece of the answer, for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;

/// How often in a row those who wake each other are polled before others have their turn.
const MAX_ROUNDS: usize = 16;

/// Nobody polls: whoever wakes wakes the task.
const AWAY: u8 = 0;
/// Under way.
const POLLING: u8 = 1;
/// Under way, and woken meanwhile.
const AGAIN: u8 = 2;

/// Polls what wakes itself.
pub(super) struct Relay {
    shared: Arc<Shared>,
    waker: Waker,
}

struct Shared {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Relay {
    pub(super) fn new() -> Self {
        let shared = Shared { state: AtomicU8::new(AWAY), task: AtomicWaker::new() };
        let shared = Arc::new(shared);
        Self { waker: Waker::from(Arc::clone(&shared)), shared }
    }

    /// Polls until it is ready, or nothing has woken it since it was polled.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Shared { state, task } = &*self.shared;
        task.register(cx.waker());
        let mut inner = Context::from_waker(&self.waker);
        for _ in 0..MAX_ROUNDS {
            state.store(POLLING, Ordering::Release);
            let polled = poll(&mut inner);
            if polled.is_ready() {
                // Whoever gets something polls again; until then there is nothing to be woken for.
                state.store(AWAY, Ordering::Release);
                return polled;
            }
            let left = state.compare_exchange(POLLING, AWAY, Ordering::AcqRel, Ordering::Acquire);
            if left.is_ok() {
                return Poll::Pending;
            }
        }
        state.store(AWAY, Ordering::Release);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let noted =
            self.state.compare_exchange(POLLING, AGAIN, Ordering::AcqRel, Ordering::Acquire);
        if noted == Err(AWAY) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Counts how often the task is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn task() -> (Arc<Task>, Waker) {
        let task = Arc::new(Task::default());
        (Arc::clone(&task), Waker::from(task))
    }

    #[test]
    fn a_wake_while_polling_polls_again_and_leaves_the_task_alone() {
        let ((task, waker), relay) = (task(), Relay::new());
        let mut rounds = 0;
        let polled = relay.poll(&mut Context::from_waker(&waker), |cx| {
            rounds += 1;
            if rounds < 3 {
                cx.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((rounds, task.0.load(Ordering::SeqCst)), (3, 0));
    }

    #[test]
    fn a_wake_at_another_time_wakes_the_task() {
        let ((task, waker), relay) = (task(), Relay::new());
        let mut inner = None;
        let _pending = relay.poll(&mut Context::from_waker(&waker), |cx| {
            inner = Some(cx.waker().clone());
            Poll::<()>::Pending
        });
        inner.unwrap().wake();
        assert_eq!(task.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_wakes_itself_without_end_gives_others_their_turn() {
        let ((task, waker), relay) = (task(), Relay::new());
        let mut rounds = 0;
        let polled = relay.poll(&mut Context::from_waker(&waker), |cx| {
            rounds += 1;
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((rounds, task.0.load(Ordering::SeqCst)), (MAX_ROUNDS, 1));
    }

    #[tokio::test]
    async fn no_wake_from_another_thread_is_lost() {
        const WAKES: usize = 5000;
        let relay = Relay::new();
        let sent = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(AtomicUsize::new(0));
        let waker = Arc::new(AtomicWaker::new());
        // Wakes only once the last wake has come through.
        let sender = thread::spawn({
            let (sent, seen, waker) = (sent.clone(), seen.clone(), waker.clone());
            move || {
                for wake in 1..=WAKES {
                    sent.store(wake, Ordering::SeqCst);
                    waker.wake();
                    while seen.load(Ordering::SeqCst) < wake {
                        thread::yield_now();
                    }
                }
            }
        });
        let all = poll_fn(|cx| {
            relay.poll(cx, |cx| {
                waker.register(cx.waker());
                let now = sent.load(Ordering::SeqCst);
                seen.store(now, Ordering::SeqCst);
                if now == WAKES { Poll::Ready(()) } else { Poll::Pending }
            })
        });
        timeout(Duration::from_secs(20), all).await.expect("it hangs");
        sender.join().unwrap();
    }
}
