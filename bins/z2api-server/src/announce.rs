//! What a person reads when the gateway starts. On stderr: stdout holds the log alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use z2api_config::Config;
use z2api_upstream_client::Secret;

use crate::app::App;
use crate::listener::Listener;

/// Says where the gateway listens, the key if it was made up, and in a demo what to paste.
///
/// Whoever reads it may send signals: by then they must be heeded.
///
/// # Errors
/// If the kernel does not tell where it listens.
pub fn announce(
    config: &Config,
    app: &App,
    listener: &Listener,
    demo: bool,
) -> std::io::Result<()> {
    let listening = listener.local_addr()?;
    let scheme = if config.peers.tls.is_some() { "https" } else { "http" };
    eprintln!("z2api {} listens on {scheme}://{listening}", env!("CARGO_PKG_VERSION"));
    if let Some(admin) = listener.admin_addr() {
        eprintln!("The operator's pages are on {scheme}://{admin}");
    }
    if config.dashboard {
        let page = reachable(listener.admin_addr().unwrap_or(listening));
        eprintln!("The live page is at {scheme}://{page}/dashboard");
    }
    let key = config.first_key.as_ref().map(Secret::expose);
    match key {
        Some(key) if demo => eprint!("{}", paste(reachable(listening), key)),
        Some(key) if config.key_is_generated => {
            eprintln!("DEFAULT_KEY is not set. The key of this run, shown only here: {key}");
        }
        Some(_) | None => {}
    }
    eprintln!("{}", app.room());
    Ok(())
}

/// An address that a client on this machine can use.
fn reachable(listening: SocketAddr) -> SocketAddr {
    if listening.ip().is_unspecified() {
        return SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listening.port());
    }
    listening
}

fn paste(address: SocketAddr, key: &str) -> String {
    format!(
        r#"
This is a demo: the upstream is simulated on this machine, nothing leaves it.

Try it with curl:

  curl -N http://{address}/v1/chat/completions \
    -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \
    -d '{{"model": "GLM-4.5-Thinking", "stream": true, "messages": [{{"role": "user", "content": "Why is the sky blue?"}}]}}'

Or with Python (pip install openai):

  from openai import OpenAI
  client = OpenAI(base_url="http://{address}/v1", api_key="{key}")
  stream = client.chat.completions.create(
      model="GLM-4.5-Thinking", stream=True,
      messages=[{{"role": "user", "content": "Why is the sky blue?"}}])
  for chunk in stream:
      if chunk.choices:
          print(chunk.choices[0].delta.content or "", end="", flush=True)

Ctrl-C stops it.

"#
    )
}
