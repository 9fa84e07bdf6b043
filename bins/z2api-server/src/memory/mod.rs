//! Keeps the process within its memory: room for bodies is set aside before they are read, and
//! a ladder of measures follows the memory that is really resident.

mod budget;
mod ladder;
mod running;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use z2api_observability::{MemoryMeter, MemoryReading};

use crate::app::App;
use crate::error::ApiError;
use ladder::pressure;
use running::Running;

pub(crate) use budget::{Lease, NoRoom};
pub(crate) use ladder::Rung;
pub(crate) use running::Enlisted;

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What an ended request held has gone back to the system by then; sooner, more would be ended than
/// must be.
const BETWEEN_ENDS: Duration = Duration::from_secs(2);

/// Tells how much memory is used. The real one asks the system.
pub type MemorySource = Arc<dyn Fn() -> MemoryReading + Send + Sync>;

/// The memory of the process.
pub(crate) struct Memory {
    source: MemorySource,
    budget: Arc<budget::Budget>,
    running: Arc<Running>,
    resident: AtomicU64,
    rung: watch::Sender<Rung>,
    last_end: Mutex<Option<Instant>>,
}

impl Memory {
    /// With so many bytes as limit.
    pub(crate) fn new(source: Option<MemorySource>, limit: u64) -> Self {
        let memory = Self {
            source: source.unwrap_or_else(of_the_system),
            budget: Arc::default(),
            running: Arc::default(),
            resident: AtomicU64::new(0),
            rung: watch::Sender::new(Rung::Calm),
            last_end: Mutex::default(),
        };
        memory.look(limit);
        memory
    }

    /// Room for a body of so many bytes.
    pub(crate) fn lease(&self, body: u64) -> Result<Lease, ApiError> {
        Ok(self.budget.lease(body)?)
    }

    /// Bytes set aside for bodies.
    pub(crate) fn reserved(&self) -> u64 {
        self.budget.used()
    }

    /// Lists a request whose body had so many bytes, among those that may have to be ended.
    pub(crate) fn enlist(&self, bytes: u64) -> Enlisted {
        self.running.enlist(bytes)
    }

    /// Resident memory in bytes, as of the last look. 0 where it cannot be told.
    pub(crate) fn resident(&self) -> u64 {
        self.resident.load(Relaxed)
    }

    /// How short memory is.
    pub(crate) fn rung(&self) -> Rung {
        *self.rung.borrow()
    }

    /// All rungs by name, and whether memory stands there.
    pub(crate) fn states(&self) -> Vec<(&'static str, bool)> {
        let rung = self.rung();
        Rung::ALL.iter().map(|one| (one.as_str(), *one == rung)).collect()
    }

    /// Tells of each change of the rung.
    pub(crate) fn rungs(&self) -> watch::Receiver<Rung> {
        self.rung.subscribe()
    }

    /// Whether new chat requests are refused.
    pub(crate) fn is_short(&self) -> bool {
        self.rung() >= Rung::Refusing
    }

    fn may_end(&self) -> bool {
        let mut last = self.last_end.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|last| last.elapsed() >= BETWEEN_ENDS);
        if may {
            *last = Some(Instant::now());
        }
        may
    }

    /// Looks at the memory, and does what must be done.
    fn look(&self, limit: u64) {
        self.budget.set_memory(limit);
        let reading = (self.source)();
        self.resident.store(reading.resident, Relaxed);
        let pressure = pressure(reading, limit);
        let (before, rung) = (self.rung(), self.rung().after(pressure));
        if rung != before {
            tell(before, rung, reading, limit);
            self.rung.send_replace(rung);
        }
        if rung == Rung::Ending && self.may_end() {
            let told = self.running.end_largest();
            tracing::error!(r#type = "memory", told, "the largest requests are told to end");
        }
    }
}

fn of_the_system() -> MemorySource {
    let meter = Mutex::new(MemoryMeter::default());
    Arc::new(move || meter.lock().unwrap_or_else(PoisonError::into_inner).read())
}

/// Looks at the memory from time to time, for ever.
pub(crate) async fn watch_memory(app: Arc<App>) {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let live = app.live();
        app.memory.look(live.limits.memory);
        if app.memory.rung() >= Rung::Tight {
            live.client.close_idle();
        }
    }
}

fn tell(before: Rung, rung: Rung, reading: MemoryReading, limit: u64) {
    const MIB: u64 = 1024 * 1024;
    let (resident_mb, limit_mb) = (reading.resident / MIB, limit / MIB);
    let state = rung.as_str();
    if rung > before {
        tracing::warn!(r#type = "memory", state, resident_mb, limit_mb, "memory runs short");
    } else {
        tracing::info!(r#type = "memory", state, resident_mb, limit_mb, "there is more memory");
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("rung", &self.rung()).finish_non_exhaustive()
    }
}

impl From<NoRoom> for ApiError {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Now => Self::out_of_memory(),
            NoRoom::Ever(largest) => Self::body_beyond_memory(largest),
        }
    }
}
