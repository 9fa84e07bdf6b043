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

impl Options {
    /// The plan; everything that can be made ahead is.
    pub(crate) fn plan(self) -> io::Result<impl Plan> {
        let fixed = self.fixed()?;
        Ok(move |request: &Recorded| match (&fixed, request.dialect()) {
            (None, _) if self.prompted => self.faulty(Prompted.answer(request)),
            (None, _) => self.faulty(Demo.answer(request)),
            (Some(fixed), Some(Dialect::ZaiWeb)) => fixed.web.clone(),
            (Some(fixed), Some(Dialect::OpenAi) | None) => fixed.api.clone(),
        })
    }

    /// The answers, faults included; none for the plans that look at the request first.
    fn fixed(&self) -> io::Result<Option<Fixed>> {
        let (web, api) = if let Some(path) = &self.file {
            let script = Script::sse(fs::read(path)?).event_by_event();
            (script.clone(), script)
        } else if let Some(bytes) = self.bytes {
            let answer = self.generated(bytes);
            (Script::events(answer.web_events()), Script::events(answer.openai_events("simulated")))
        } else if let Some(status) = self.status {
            let text = "The simulated upstream was told to refuse.";
            (faults::detail(status, text), faults::api_error(status, &status.to_string(), text))
        } else {
            return Ok(None);
        };
        Ok(Some(Fixed { web: self.faulty(web), api: self.faulty(api) }))
    }

    fn generated(&self, bytes: usize) -> text::Answer {
        text::Answer {
            thinking: text::words(self.thinking, self.seed.wrapping_add(1)),
            text: text::words(bytes, self.seed),
            piece: self.piece,
            usage: (1, (self.thinking + bytes) as u64 / 4),
        }
    }

    /// The script with the faults that were asked for.
    fn faulty(&self, mut script: Script) -> Script {
        let ms = Duration::from_millis;
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
    }
}
