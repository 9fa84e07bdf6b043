//! JSON logs, request records, metrics, traces, key masking.
//!
//! Libraries speak `tracing`; only the server installs [`subscriber`]. Everything goes through a
//! [`LogSink`], whose own thread writes, so that a slow reader of the log slows no request.

mod counters;
mod excerpt;
mod id;
mod line;
mod mask;
mod memory;
mod metrics;
mod pretty;
#[cfg(target_os = "linux")]
mod process;
mod recent;
mod record;
mod sink;
mod spans;
mod trace;
mod tries;
mod waits;

pub use counters::Counters;
pub use excerpt::Excerpt;
pub use id::RequestId;
pub use line::now;
pub use mask::mask_key;
pub use memory::{GroupMemory, MemoryMeter, MemoryReading, memory_ceiling, memory_reading};
pub use metrics::{Ended, Metrics, Owner, Readings};
pub use pretty::LogFormat;
pub use recent::{Finished, Recent, Totals};
pub use record::{Asked, Failure, HUNG_UP, Lost, RequestRecord, Said};
pub use sink::{LogGuard, LogSink, MemoryLog};
pub use spans::{AnswerName, Headers, ModelCall, TraceSettings, Tracer, UpstreamPlace};
pub use trace::{LogFilter, REQUEST_SPAN, check_filter, subscriber};
pub use tries::{ANSWERED, Came, GIVEN_UP, Tries, Try, Waiting};
pub use waits::Queue;
