//! Asks Z.ai: dialects, tokens, attempts, timeouts, and a stream of typed events.
//!
//! A [`Client`] turns a [`Chat`] into an [`EventStream`], whichever of the two upstream
//! [`Dialect`]s it speaks. It needs a tokio runtime with its timer on, reads no environment, and
//! shows no HTTP library in its types.
//!
//! ```no_run
//! use futures::StreamExt;
//! use z2api_upstream_client::{Chat, Client, Event, Phase, Secret, Settings};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let mut settings = Settings::default();
//! settings.url = "https://api.z.ai/api/paas/v4/chat/completions".to_owned();
//! settings.token = Some(Secret::new("the API key"));
//! let client = Client::new(settings)?;
//!
//! let started = client.chat(&Chat::ask("glm-4.5", "Why is the sky blue?")).await?;
//! let mut events = started.events;
//! while let Some(event) = events.next().await {
//!     if let Event::Text { phase: Phase::Answer, text } = event? {
//!         print!("{text}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! * Nothing is asked twice once a part of an answer has arrived; before that, only failures that
//!   may pass are tried again, by [`RetryPolicy`].
//! * An answer that was cut is never taken for a whole one: [`EventStream`] ends with an error.
//! * Dropping an [`EventStream`], or the future of [`Client::chat`], closes its connection, or with
//!   HTTP/2 its stream.
//! * A token that the upstream refuses, limits or parks is spared, and another asked; callers wait
//!   in line where the upstream allows few at once ([`Client::tokens`] tells).
//! * An outage is not multiplied: [`RetryBudget`], [`BreakerPolicy`].
//! * Refusals meant for unattended clients ([`Blocker`]) are named, never worked around.
//! * Tokens, passwords, URLs and the words of either side are in no `Debug` or `Display` of an
//!   error, and in no log line.
//!
//! # Errors
//!
//! An [`Error`] says whose fault it is, whether asking again may help, and when. It comes in two
//! places: instead of an answer, in [`Failed`], and as the last item of a stream.
//!
//! ```
//! use z2api_upstream_client::{Error, Owner};
//!
//! fn advice(error: &Error) -> String {
//!     match (error.owner(), error.retry_after()) {
//!         (Owner::Caller, _) => format!("ask something else: {error}"),
//!         (Owner::Gateway, _) => format!("look at the settings: {error}"),
//!         (Owner::Upstream, Some(wait)) => format!("in {} s again: {error}", wait.as_secs()),
//!         (Owner::Upstream, None) if error.is_retryable() => format!("try again: {error}"),
//!         (Owner::Upstream, None) => error.to_string(),
//!     }
//! }
//! ```
//!
//! # Time
//!
//! Four clocks, all in [`Timeouts`]: to connect, to the first event (one deadline over all
//! attempts), between events with content, and to the end. Nothing else cuts a stream.
//!
//! # Connections
//!
//! HTTP/2 where an `https` upstream offers it, as many connections as its streams need, and
//! HTTP/1.1 elsewhere. There a connection has no task of its own: whoever polls the answer drives
//! it. After a whole answer it is kept half a minute for the next one in the same runtime. For
//! anything else there is [`Client::with_transport`], which also makes tests without a network easy:
//! a [`Transport`] needs one method.

mod answer;
mod attempt;
mod breaker;
mod budget;
mod cause;
mod classify;
mod client;
mod clocks;
mod codes;
mod connector;
mod dialect;
mod direct;
mod effect;
mod endpoint;
mod error;
mod events;
mod guest;
mod headers;
mod http;
mod http2;
mod observer;
mod pool;
mod proxied;
mod reader;
mod reset_time;
mod rest;
mod retry;
mod retry_after;
mod secret;
mod settings;
mod tls;
mod token;
mod transport;

pub use z2api_wire::Malformed;
pub use z2api_wire::chat::Chat;
pub use z2api_wire::event::{Dialect, Event, FinishReason, Phase, ToolCallDelta, Usage};
pub use z2api_wire::fault::Fault;
pub use z2api_wire::named::Named;
pub use z2api_wire::openai::request::{Content, ImageUrl, Message, Part, Role};

pub use crate::breaker::{BreakerPolicy, BreakerState};
pub use crate::budget::RetryBudget;
pub use crate::client::{Client, Failed, Started};
pub use crate::error::{Blocker, Error, Found, Owner, Verdict, Wait};
pub use crate::events::EventStream;
pub use crate::observer::{Attempt, Observer, Outcome, TracePlace};
pub use crate::pool::{ModelLimit, TokenState, TokenStatus};
pub use crate::retry::RetryPolicy;
pub use crate::secret::Secret;
pub use crate::settings::{Settings, SettingsError, Timeouts};
pub use crate::transport::{Body, Transport, TransportError};

/// The README's program compiles too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
