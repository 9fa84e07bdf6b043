//! Asks one question and prints the whole answer. Needs no network: a simulated upstream answers.

use futures::TryStreamExt;
use z2api_upstream_client::{Chat, Client, Event, Phase, Settings};
use z2api_upstream_sim::{Demo, Sim};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let upstream = Sim::start(Demo).await?;
    let mut settings = Settings::default();
    settings.url = upstream.web_url();
    let question = Chat::ask("0727-360B-API", "Why is the sky blue?");
    let mut events = Client::new(settings)?.chat(&question).await?.events;
    let mut answer = String::new();
    while let Some(event) = events.try_next().await? {
        if let Event::Text { phase: Phase::Answer, text } = event {
            answer.push_str(&text);
        }
    }
    println!("{answer}");
    Ok(())
}
