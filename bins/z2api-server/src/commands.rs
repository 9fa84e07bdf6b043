//! The subcommands that do not serve.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use z2api_config::{Config, Flags, Problems, keygen, listen_address, speaks_tls};

use crate::healthcheck::health_of;

/// Loads the settings; bad ones are told and become an exit code.
///
/// # Errors
/// The exit code, once the problems have been told on stderr.
pub fn settings(flags: &Flags) -> Result<Config, ExitCode> {
    match Config::load(flags) {
        Ok(config) => {
            for warning in &config.warnings {
                eprintln!("warning: {warning}");
            }
            Ok(config)
        }
        Err(problems) => Err(bad_settings(&problems)),
    }
}

fn bad_settings(problems: &Problems) -> ExitCode {
    eprintln!("{problems}");
    ExitCode::from(Problems::EXIT_CODE)
}

/// Prints the settings as they hold.
pub fn check(flags: &Flags) -> ExitCode {
    match settings(flags) {
        Ok(config) => {
            let lines: String = config.effective.iter().map(|line| format!("{line}\n")).collect();
            print_out(&lines)
        }
        Err(code) => code,
    }
}

/// Asks the gateway on this machine for `/health`.
pub fn healthcheck(flags: &Flags) -> ExitCode {
    let listen = match listen_address(flags) {
        Ok(listen) => listen,
        Err(problems) => return bad_settings(&problems),
    };
    if listen.port() == 0 {
        eprintln!("PORT=0: which port the gateway took cannot be known from here");
        return ExitCode::FAILURE;
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listen.port());
    let tls = speaks_tls(flags);
    match health_of(address, tls) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let scheme = if tls { "https" } else { "http" };
            eprintln!("{scheme}://{address}/health: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a new key and its line.
pub fn make_key(name: &str) -> ExitCode {
    match keygen(name) {
        Ok((key, line)) => {
            eprintln!("The key, shown only here: {}", key.expose());
            eprintln!("The line for the file of API_KEYS_FILE:");
            print_out(&format!("{line}\n"))
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// A closed pipe is the reader's choice, not an error to panic over.
fn print_out(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
