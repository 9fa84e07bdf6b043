//! A program that a run starts, and ends by its own process id.

use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::framing::bad;
use crate::process::Process;

/// The longest that a program may take to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
    errors: Option<BufReader<ChildStderr>>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let output = child.stdout.take().map(BufReader::new);
        let errors = child.stderr.take().map(BufReader::new);
        Ok(Self { child, output, errors })
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// The next line of what it prints.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        line_of(self.output.as_mut())
    }

    /// The next line of what it says on stderr.
    pub(crate) fn said(&mut self) -> io::Result<String> {
        line_of(self.errors.as_mut())
    }

    /// Asks it to stop, as an operator would.
    pub(crate) fn tell_to_stop(&self) -> io::Result<()> {
        let told = Command::new("kill").arg(self.child.id().to_string()).status()?;
        if told.success() { Ok(()) } else { Err(bad("the program could not be told to stop")) }
    }

    /// Its exit, once it has stopped; others go on meanwhile.
    pub(crate) async fn stopped(&mut self) -> io::Result<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err(bad("the program does not stop"))
    }

    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already: then there is nothing to do.
        let _ = self.kill();
    }
}

/// A program that was built beside this one, with its output piped.
pub(crate) fn beside(name: &str) -> io::Result<Command> {
    let mut path: PathBuf = std::env::current_exe()?;
    path.set_file_name(name);
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

fn line_of(from: Option<&mut impl BufRead>) -> io::Result<String> {
    let mut line = String::new();
    let mut from = from.ok_or_else(|| bad("it is not listened to"))?.take(4096);
    if from.read_line(&mut line)? == 0 {
        return Err(bad("the program has ended; is everything built?"));
    }
    Ok(line.trim_end().to_owned())
}
