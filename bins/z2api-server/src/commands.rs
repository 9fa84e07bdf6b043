//! The subcommands that do not serve.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use z2api_config::{Config, Flags, Problems, keygen, listen_address};

/// How long the gateway may take to say that it is well.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

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
    match health_of(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http://{address}/health: {error}");
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

fn health_of(address: SocketAddr) -> Result<(), String> {
    let ask = || -> std::io::Result<String> {
        let mut socket = TcpStream::connect_timeout(&address, HEALTH_TIMEOUT)?;
        socket.set_read_timeout(Some(HEALTH_TIMEOUT))?;
        socket.set_write_timeout(Some(HEALTH_TIMEOUT))?;
        write!(socket, "GET /health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        socket.take(64 * 1024).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    let line = answer.lines().next().unwrap_or_default();
    if line.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(format!("{line:?}")) }
}

/// A closed pipe is the reader's choice, not an error to panic over.
fn print_out(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
