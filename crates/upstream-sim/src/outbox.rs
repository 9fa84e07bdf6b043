//! The writing side of a connection: one script carried out, step by step.

use std::io;

use tokio::{net::TcpStream, task, time};

use crate::{
    inbox::Inbox,
    log::Answering,
    record::Outcome,
    steps::{Step, Steps},
};

/// Carries out the steps; stops at once when the peer goes. Tells whether the connection can
/// serve another request.
pub(crate) async fn answer(
    stream: &TcpStream,
    inbox: &mut Inbox,
    mut steps: Steps,
    mut answering: Answering,
) -> bool {
    let mut frame = Vec::new();
    loop {
        let step = steps.next(&mut frame);
        // An endless script on a fast peer would never let go of its thread otherwise.
        task::consume_budget().await;
        let still_there = tokio::select! {
            biased;
            () = inbox.peer_gone(stream) => false,
            done = carry_out(step, &frame, stream, &mut answering) => done.is_ok(),
        };
        if !still_there {
            answering.end(Outcome::PeerClosed);
            return false;
        }
        match step {
            Step::Wait(_) | Step::Write | Step::Stall => {}
            Step::LastWrite => return !steps.closes(),
            Step::Cut | Step::Reset => return false,
        }
    }
}

async fn carry_out(
    step: Step,
    frame: &[u8],
    stream: &TcpStream,
    answering: &mut Answering,
) -> io::Result<()> {
    match step {
        Step::Wait(wait) if wait.is_zero() => Ok(()),
        Step::Wait(wait) => {
            time::sleep(wait).await;
            Ok(())
        }
        Step::Write => write_all(stream, frame).await,
        Step::LastWrite => write_last(stream, frame, answering).await,
        Step::Stall => std::future::pending().await,
        Step::Cut => {
            answering.end(Outcome::CutByScript);
            Ok(())
        }
        Step::Reset => {
            answering.end(Outcome::CutByScript);
            stream.set_zero_linger()
        }
    }
}

/// Writes all of it, in one TCP write when the socket has room.
pub(crate) async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of it and, in the same moment, tells that the answer is whole.
async fn write_last(
    stream: &TcpStream,
    mut bytes: &[u8],
    answering: &mut Answering,
) -> io::Result<()> {
    loop {
        let mut result = Ok(0);
        answering.end_if(|| {
            if !bytes.is_empty() {
                result = stream.try_write(bytes);
            }
            result.as_ref().is_ok_and(|&n| n == bytes.len()).then_some(Outcome::Whole)
        });
        match result {
            Ok(written) if written == bytes.len() => return Ok(()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
}
