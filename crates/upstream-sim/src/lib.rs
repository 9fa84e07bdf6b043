//! A simulated Z.ai on a real socket: both dialects, scripted answers, scripted faults.

mod compress;
pub mod faults;
mod guests;
mod inbox;
mod log;
mod outbox;
mod plan;
mod record;
mod request;
mod route;
mod script;
mod serve;
mod sim;
mod steps;
pub mod text;

pub use guests::Guests;
pub use plan::{Plan, fails_first, plan_fn, sequence};
pub use record::{Outcome, Recorded};
pub use route::Dialect;
pub use script::Script;
pub use sim::Sim;
