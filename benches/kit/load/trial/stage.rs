//! The stage of a trial: a gateway of its own, with everything on, in front of a simulated upstream.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::connection::Connection;
use crate::framing::bad;
use crate::process::Process;
use crate::program::{Program, beside};
use crate::trial::ask::{KEY, get};

/// The longest that the gateway may take until nothing is in flight any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// A simulated upstream as a process of its own, that answers as the prompt says.
#[derive(Debug)]
pub(crate) struct Upstream {
    program: Program,
    pub(crate) url: String,
}

/// A gateway as a process of its own.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    /// What it says at its start about the limit of open files.
    pub(crate) room: String,
}

impl Upstream {
    /// Starts one; port 0 takes a free one.
    pub(crate) fn start(port: u16) -> io::Result<Self> {
        let mut command = beside("z2api-upstream-sim")?;
        command.args(["--prompted", "--port", &port.to_string()]).stderr(Stdio::inherit());
        let mut program = Program::start(&mut command)?;
        program.line()?;
        let url = program.line()?;
        Ok(Self { program, url })
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        let port = self.url.split([':', '/']).find_map(|part| part.parse().ok());
        port.ok_or_else(|| bad("a URL without a port"))
    }

    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.program.kill()
    }
}

impl Gateway {
    pub(crate) fn start(upstream: &str, settings: &[(&str, &str)]) -> io::Result<Self> {
        Self::of(beside("z2api-server")?, upstream, settings)
    }

    /// Starts one on a socket that is handed over, as systemd does it.
    pub(crate) fn on(
        socket: OwnedFd,
        upstream: &str,
        settings: &[(&str, &str)],
    ) -> io::Result<Self> {
        let program = beside("z2api-server")?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", r#"exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0""#]);
        shell.arg(program.get_program()).stdin(socket).stderr(Stdio::piped());
        Self::of(shell, upstream, settings)
    }

    fn of(mut command: Command, upstream: &str, settings: &[(&str, &str)]) -> io::Result<Self> {
        command.env_clear().current_dir(std::env::temp_dir()).stdout(Stdio::null());
        command.envs([("HOST", "127.0.0.1"), ("PORT", "0"), ("DEFAULT_KEY", KEY)]);
        command.envs([("UPSTREAM_URL", upstream), ("UPSTREAM_TOKEN", "simulated")]);
        command.envs(settings.iter().copied());
        let mut program = Program::start(&mut command)?;
        let first = program.said()?;
        let address = first.rsplit_once("http://").and_then(|(_, address)| address.parse().ok());
        let address = address.ok_or_else(|| bad(format!("the gateway says: {first}")))?;
        let room = loop {
            let line = program.said()?;
            if line.contains("streams at once") {
                break line;
            }
        };
        Ok(Self { program, address, room })
    }

    pub(crate) fn process(&self) -> Process {
        self.program.process()
    }

    pub(crate) async fn status(&self) -> io::Result<Value> {
        let mut connection = Connection::open(self.address).await?;
        let mut body = Vec::new();
        connection.ask(&get("/status", self.address)).await?;
        connection
            .finish(|bytes| {
                body.extend_from_slice(bytes);
                Ok(())
            })
            .await?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Waits until no request is in flight or waits. False if that does not come.
    pub(crate) async fn calms_down(&self) -> io::Result<bool> {
        let late = Instant::now() + PATIENCE;
        while Instant::now() < late {
            let status = self.status().await?;
            if status["current_connections"] == 0 && status["queued"] == 0 {
                return Ok(true);
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(false)
    }
}
