//! Prints an answer as it arrives, the thinking first. Needs no network: a simulator answers.

use std::io::{Write, stdout};

use futures::TryStreamExt;
use z2api_upstream_client::{Chat, Client, Event, Secret, Settings};
use z2api_upstream_sim::{Demo, Sim};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upstream = Sim::start(Demo).await?;
    let mut settings = Settings::default();
    settings.url = upstream.openai_url();
    settings.token = Some(Secret::new("an API key"));
    let mut chat = Chat::ask("glm-4.5", "Why is the sky blue?");
    chat.thinking = true;
    let mut events = Client::new(settings)?.chat(&chat).await?.events;
    while let Some(event) = events.try_next().await? {
        if let Event::Text { text, .. } = event {
            print!("{text}");
            stdout().flush()?;
        }
    }
    println!();
    Ok(())
}
