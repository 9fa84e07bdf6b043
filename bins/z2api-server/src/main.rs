//! Reads the settings, starts the log, builds the gateway, serves until told to stop.

use std::process::ExitCode;

use clap::Parser;
use z2api_config::{Config, Problems};
use z2api_observability::{LogSink, subscriber};
use z2api_server::{App, Cli, Demo, announce, bind, serve, signal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = match Config::from_env(cli.flags()) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(Problems::EXIT_CODE);
        }
    };
    match run(cli, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("z2api-server: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(cli: Cli, mut config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let (log, _flushed_at_the_end) = LogSink::stdout();
    tracing::subscriber::set_global_default(subscriber(log.clone(), config.log.debug))?;
    let stop = signal()?;
    let _demo = if cli.demo { Some(Demo::start(&mut config).await?) } else { None };
    let listener = bind(config.listen)?;
    announce(&config, listener.local_addr()?, cli.demo);
    serve(listener, App::build(config, log)?, stop).await;
    Ok(())
}
