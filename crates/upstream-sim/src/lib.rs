//! A simulated Z.ai on a real socket: both dialects, scripted answers, scripted faults.
//!
//! A [`Sim`] asks its [`Plan`] for a [`Script`] for each chat request, and carries the script out
//! write by write. It records what it was asked and how each answer ended. It is an independent
//! judge: it shares no code with the gateway it stands in for.
//!
//! ```
//! use std::time::Duration;
//! use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::TcpStream};
//! use z2api_upstream_sim::{Outcome, Script, Sim};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let sim = Sim::start(Script::events(["one", "two"]).cut_after(1)).await?;
//! let mut client = TcpStream::connect(sim.addr()).await?;
//! let request = "POST /api/chat/completions HTTP/1.1\r\nauthorization: Bearer any\r\n\r\n";
//! client.write_all(request.as_bytes()).await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.ends_with("data: one\n\n\r\n"));
//! let cut = |sim: &Sim| sim.chats()[0].outcome == Outcome::CutByScript;
//! assert!(sim.until(cut, Duration::from_secs(9)).await);
//! # Ok(())
//! # }
//! ```

mod compress;
mod demo;
pub mod faults;
mod files;
mod guests;
mod inbox;
mod log;
mod outbox;
mod plan;
mod prompted;
mod record;
mod request;
mod route;
mod script;
mod serve;
mod sim;
mod steps;
pub mod text;

pub use demo::Demo;
pub use guests::Guests;
pub use plan::{Plan, fails_first, plan_fn, sequence};
pub use prompted::Prompted;
pub use record::{Outcome, Recorded};
pub use route::Dialect;
pub use script::Script;
pub use sim::Sim;
