//! How long a program takes from its start to its first good answer.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::framing::bad;
use crate::options::Start;
use crate::report::Report;

/// The longest start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Blocks: there is nothing else to do.
pub(crate) async fn run(options: &Start) -> io::Result<Report> {
    let mut times = Vec::new();
    for _ in 0..options.times {
        times.push(once(options)?);
    }
    let mut report = Report::default();
    report.times("start_us", times);
    Ok(report)
}

fn once(options: &Start) -> io::Result<Duration> {
    let (program, arguments) = options.command.split_first().ok_or_else(|| bad("no program"))?;
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn()?;
    let outcome = loop {
        match ask(options) {
            Ok(()) => break Ok(began.elapsed()),
            Err(error) if began.elapsed() > PATIENCE => break Err(error),
            Err(_not_yet) => std::thread::sleep(Duration::from_micros(100)),
        }
    };
    end(&mut child)?;
    outcome
}

fn ask(options: &Start) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&options.address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", options.path)?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    if status.ends_with(b" 200") { Ok(()) } else { Err(bad("not well")) }
}

/// Asks it to stop, as an operator would; a program that stays is killed.
fn end(child: &mut Child) -> io::Result<()> {
    let told = Command::new("kill").arg(child.id().to_string()).status()?;
    let began = Instant::now();
    while told.success() && began.elapsed() < PATIENCE {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill()?;
    child.wait().map(|_| ())
}
