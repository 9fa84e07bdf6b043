//! Reads the settings, starts the log, builds the gateway, serves until told to stop.

use std::process::ExitCode;

use clap::Parser;
use z2api_config::Config;
use z2api_observability::{LogSink, subscriber};
use z2api_server::{App, Cli, Command, Demo, Reloads, Workers, announce, commands, listen, serve};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        Some(Command::Check) => commands::check(&cli.flags()),
        Some(Command::Healthcheck) => commands::healthcheck(&cli.flags()),
        Some(Command::Keygen { name }) => commands::make_key(name),
        None => match commands::settings(&cli.flags()).map(|config| run(cli, config)) {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => {
                eprintln!("z2api-server: {error}");
                ExitCode::FAILURE
            }
            Err(bad_settings) => bad_settings,
        },
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(cli: Cli, mut config: Config) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (log, _flushed_at_the_end) = LogSink::stdout(config.log.format);
    let (subscriber, filter) = subscriber(log.clone(), &config.log.filter)?;
    tracing::subscriber::set_global_default(subscriber)?;
    z2api_server::log_panics();
    let (stops, hangups) = z2api_server::signals()?;
    let demo = if cli.demo { Some(Demo::start(&mut config).await?) } else { None };
    let listener = listen(config.listen)?.with_admin(config.admin_listen)?;
    let app = App::build(config.clone(), log, Some(filter))?;
    let _reloads = Reloads::start(app.clone(), cli.flags(), demo, hangups);
    announce(&config, &app, &listener, cli.demo)?;
    Ok(serve(listener, app, Workers::threads(config.worker_threads)?, stops).await.into())
}
