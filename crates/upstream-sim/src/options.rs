//! The command line, and the plan it describes.

use std::{fs, io, path::PathBuf, time::Duration};

use clap::{ArgGroup, Parser};
use z2api_upstream_sim::{Demo, Dialect, Plan, Prompted, Recorded, Script, faults, text};

/// A simulated Z.ai on 127.0.0.1. It answers every token, in both dialects.
#[derive(Debug, Parser)]
#[command(version, group = ArgGroup::new("answer"))]
pub(crate) struct Options {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 9090)]
    pub(crate) port: u16,

    /// Answer by explaining what this is, at human speed (the default)
    #[arg(long, group = "answer")]
    demo: bool,
    /// Answer as the prompt says: a JSON object, described on the page of `Prompted`
    #[arg(long, group = "answer")]
    prompted: bool,
    /// Answer with a generated text of so many bytes
    #[arg(long, group = "answer", value_name = "N")]
    bytes: Option<usize>,
    /// Answer with the event stream in this file
    #[arg(long, group = "answer", value_name = "PATH")]
    file: Option<PathBuf>,
    /// Answer with this status and an error
    #[arg(long, group = "answer", value_name = "CODE", value_parser = clap::value_parser!(u16).range(200..600))]
    status: Option<u16>,

    /// Send this body with the status instead of an error in the dialect's words
    #[arg(long, value_name = "TEXT", requires = "status")]
    body: Option<String>,
    /// Refuse so many requests first, then answer
    #[arg(long, default_value_t = 0, value_name = "N")]
    fail_first: usize,
    /// The status of these refusals, such as 401
    #[arg(long, default_value_t = 500, value_name = "CODE", value_parser = clap::value_parser!(u16).range(200..600))]
    fail_status: u16,

    /// Seed of the generated text
    #[arg(long, default_value_t = 1, requires = "bytes")]
    seed: u64,
    /// Bytes of generated thinking before the generated text
    #[arg(long, default_value_t = 0, requires = "bytes", value_name = "N")]
    thinking: usize,
    /// Characters per event of the generated text
    #[arg(long, default_value_t = 6, requires = "bytes", value_name = "N")]
    piece: usize,

    /// Wait between two writes
    #[arg(long, value_name = "MS")]
    pace_ms: Option<u64>,
    /// Wait before the response head
    #[arg(long, value_name = "MS")]
    head_after_ms: Option<u64>,
    /// Wait between the head and the first byte of the body
    #[arg(long, value_name = "MS")]
    first_after_ms: Option<u64>,
    /// Write the body in pieces of so many bytes instead of event by event
    #[arg(long, value_name = "N", conflicts_with = "together")]
    pieces_of: Option<usize>,
    /// Write the body at once instead of event by event
    #[arg(long)]
    together: bool,
    /// Send an error event after so many events and nothing of the rest; 0 sends it first
    #[arg(long, value_name = "N")]
    error_after: Option<usize>,
    /// Send this event in place of the error, such as one that cannot be read
    #[arg(long, value_name = "DATA", requires = "error_after")]
    error_event: Option<String>,
    /// Close the connection after so many writes
    #[arg(long, value_name = "N")]
    cut_after: Option<usize>,
    /// Reset the connection after so many writes
    #[arg(long, value_name = "N", conflicts_with = "cut_after")]
    reset_after: Option<usize>,
    /// Fall silent after so many writes
    #[arg(long, value_name = "N", conflicts_with_all = ["cut_after", "reset_after"])]
    stall_after: Option<usize>,
    /// Repeat the last event for ever
    #[arg(long)]
    endless: bool,
    /// Compress the body
    #[arg(long)]
    gzip: bool,
}

/// The same answer for every request of a dialect.
struct Fixed {
    web: Script,
    api: Script,
}

impl Fixed {
    fn of(&self, dialect: Option<Dialect>) -> Script {
        match dialect {
            Some(Dialect::ZaiWeb) => self.web.clone(),
            Some(Dialect::OpenAi) | None => self.api.clone(),
        }
    }
}

impl Options {
    /// The plan; everything that can be made ahead is.
    pub(crate) fn plan(self) -> io::Result<impl Plan> {
        let refusal = refusal(self.fail_status, None);
        let fixed = self.fixed()?;
        Ok(move |request: &Recorded| {
            let dialect = request.dialect();
            match &fixed {
                _ if request.number < self.fail_first => refusal.of(dialect),
                Some(fixed) => fixed.of(dialect),
                None if self.prompted => self.faulty(Prompted.answer(request), dialect),
                None => self.faulty(Demo.answer(request), dialect),
            }
        })
    }

    /// The answers, faults included; none for the plans that look at the request first.
    fn fixed(&self) -> io::Result<Option<Fixed>> {
        let Fixed { web, api } = if let Some(path) = &self.file {
            let script = Script::sse(fs::read(path)?).event_by_event();
            Fixed { web: script.clone(), api: script }
        } else if let Some(bytes) = self.bytes {
            let answer = self.generated(bytes);
            let api = Script::events(answer.openai_events("simulated"));
            Fixed { web: Script::events(answer.web_events()), api }
        } else if let Some(status) = self.status {
            refusal(status, self.body.as_deref())
        } else {
            return Ok(None);
        };
        let web = self.faulty(web, Some(Dialect::ZaiWeb));
        let api = self.faulty(api, Some(Dialect::OpenAi));
        Ok(Some(Fixed { web, api }))
    }

    fn generated(&self, bytes: usize) -> text::Answer {
        text::Answer {
            thinking: text::words(self.thinking, self.seed.wrapping_add(1)),
            text: text::words(bytes, self.seed),
            piece: self.piece,
            usage: (1, (self.thinking + bytes) as u64 / 4),
        }
    }

    /// The event that ends an answer early.
    fn error_event(&self, dialect: Option<Dialect>) -> String {
        let told = "The simulated model was told to fail.";
        match (&self.error_event, dialect) {
            (Some(data), _) => data.clone(),
            (None, Some(Dialect::ZaiWeb)) => faults::web_error_event("INTERNAL_ERROR", told),
            (None, Some(Dialect::OpenAi) | None) => faults::api_error_event("1234", told),
        }
    }

    /// The script with the faults that were asked for.
    fn faulty(&self, mut script: Script, dialect: Option<Dialect>) -> Script {
        let ms = Duration::from_millis;
        if let Some(events) = self.error_after {
            script = script.event_after(events, &self.error_event(dialect));
        }
        if self.gzip {
            script = script.gzip();
        }
        if self.together {
            script = script.together();
        }
        if let Some(bytes) = self.pieces_of {
            script = script.pieces_of(bytes);
        }
        if self.endless {
            script = script.endless();
        }
        if let Some(wait) = self.pace_ms {
            script = script.pace(ms(wait));
        }
        if let Some(wait) = self.head_after_ms {
            script = script.head_after(ms(wait));
        }
        if let Some(wait) = self.first_after_ms {
            script = script.first_after(ms(wait));
        }
        if let Some(writes) = self.cut_after {
            script = script.cut_after(writes);
        }
        if let Some(writes) = self.reset_after {
            script = script.reset_after(writes);
        }
        if let Some(writes) = self.stall_after {
            script = script.stall_after(writes);
        }
        script
    }
}

/// A refusal in the words of each dialect, or with a body of one's own.
fn refusal(status: u16, body: Option<&str>) -> Fixed {
    if let Some(body) = body {
        let kind = if body.starts_with('<') { "text/html" } else { "application/json" };
        let script = Script::status(status, kind, body);
        return Fixed { web: script.clone(), api: script };
    }
    let text = "The simulated upstream was told to refuse.";
    Fixed {
        web: faults::detail(status, text),
        api: faults::api_error(status, &status.to_string(), text),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn only_one_kind_of_answer_can_be_asked_for() {
        let parse = |line: &str| Options::try_parse_from(line.split(' '));
        assert!(parse("sim --bytes 10 --thinking 5 --seed 3").is_ok());
        assert!(parse("sim --bytes 10 --status 500").is_err());
        assert!(parse("sim --demo --file x").is_err());
        assert!(parse("sim --seed 3").is_err());
        assert!(parse("sim --status 99").is_err());
        assert!(parse("sim --status 403 --body no --fail-first 2 --fail-status 401").is_ok());
        assert!(parse("sim --body no").is_err());
        assert!(parse("sim --error-event {").is_err());
    }
}
