//! The gateway: OpenAI-style clients in front, Z.ai's GLM models behind.
//!
//! A request goes through the files in this order: `serve` takes the connection and `connection`
//! sees it through, `service` routes, `auth` looks at the key, `chat` reads and asks, `answer`
//! streams, and whatever goes wrong is worded in `error`.

mod admin;
mod allocator;
mod announce;
mod answer;
mod api;
mod app;
mod auth;
mod body;
mod chat;
mod cli;
pub mod commands;
mod connection;
mod cors;
mod dashboard;
mod demo;
mod error;
mod excerpts;
mod faults;
mod feedback;
mod healthcheck;
mod hearing;
mod info;
mod intake;
mod listener;
mod live;
mod memory;
mod observed;
mod operator;
mod panics;
mod params;
mod question;
mod rate;
mod reloads;
mod responses_store;
mod route;
mod serve;
mod service;
mod shape;
mod signals;
mod slot;
mod status;
mod tee;
mod traced;
mod watch;
mod whole;
mod workers;

pub use announce::announce;
pub use app::{App, BuildError};
pub use cli::{Cli, Command};
pub use demo::Demo;
pub use listener::{Listener, bind, listen};
pub use memory::MemorySource;
pub use panics::log_panics;
pub use reloads::Reloads;
pub use serve::{Ended, serve};
pub use signals::signals;
pub use workers::Workers;
