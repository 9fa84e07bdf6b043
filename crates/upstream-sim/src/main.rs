//! The simulated upstream as a program: prints where it listens, serves until it is told to stop.

mod options;

use std::{io, net::Ipv4Addr};

use clap::Parser;
use z2api_upstream_sim::Sim;

use crate::options::Options;

#[tokio::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let addr = (Ipv4Addr::LOCALHOST, options.port).into();
    let sim = Sim::bind(addr, options.plan()?).await?;
    // Before the addresses are told: whoever reads them may stop the program at once.
    let told_to_stop = told_to_stop()?;
    println!("{}\n{}", sim.web_url(), sim.openai_url());
    told_to_stop.await;
    Ok(())
}

/// Listens for the signals from now on; done when one has come.
#[cfg(unix)]
fn told_to_stop() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Listens for ctrl-c from now on; done when it has come.
#[cfg(windows)]
fn told_to_stop() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
