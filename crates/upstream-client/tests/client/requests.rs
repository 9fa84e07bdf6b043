//! What the upstream is sent, and what it is not.

use z2api_upstream_client::{Client, Dialect, Secret, Settings, SettingsError};
use z2api_upstream_sim::{Script, Sim};

use crate::support::{
    API_FINISH, TOKEN, WEB_DONE, api_text, ask, ask_whole, client, settings, web_text,
};

#[tokio::test]
async fn the_web_chat_gets_the_headers_of_its_page_and_an_honest_name() {
    let sim = Sim::start(Script::events([web_text("x").as_str(), WEB_DONE])).await.unwrap();
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    settings.token = None;
    ask_whole(&Client::new(settings).unwrap()).await;

    let origin = format!("http://{}", sim.addr());
    let agent = concat!("z2api/", env!("CARGO_PKG_VERSION"));
    let requests = sim.requests();
    let [guest, chat] = requests.as_slice() else { panic!("{requests:?}") };
    for request in [guest, chat] {
        assert_eq!(request.header("origin"), Some(origin.as_str()));
        assert_eq!(request.header("x-fe-version"), Some("prod-fe-1.0.70"));
        assert_eq!(request.header("accept-language"), Some("zh-CN"));
        assert_eq!(request.header("user-agent"), Some(agent));
        assert_eq!(request.header("accept"), Some("application/json, text/event-stream"));
        assert_eq!(request.header("accept-encoding"), Some("identity"));
    }
    assert_eq!((guest.method.as_str(), guest.path.as_str()), ("GET", "/api/v1/auths/"));
    assert_eq!(guest.header("authorization"), None);

    assert_eq!(chat.header("content-type"), Some("application/json"));
    assert_eq!(chat.bearer(), Some("sim-guest-0001"));
    let chat_id = chat.json()["chat_id"].as_str().unwrap().to_owned();
    assert_eq!(chat.header("referer"), Some(format!("{origin}/c/{chat_id}").as_str()));
}

#[tokio::test]
async fn the_official_api_gets_no_header_of_the_web_chat() {
    let events = [api_text("x").as_str(), API_FINISH, "[DONE]"].map(str::to_owned);
    let sim = Sim::start(Script::events(events)).await.unwrap();
    ask_whole(&client(&sim, Dialect::OpenAi)).await;
    let chat = &sim.chats()[0];
    assert_eq!(chat.bearer(), Some(TOKEN));
    for name in ["origin", "referer", "x-fe-version", "accept-language"] {
        assert_eq!(chat.header(name), None);
    }
    assert_eq!(chat.json()["stream_options"]["include_usage"], true);
}

fn refused(change: impl FnOnce(&mut Settings)) -> SettingsError {
    let mut settings = Settings::default();
    change(&mut settings);
    let checked = settings.check().unwrap_err();
    assert_eq!(Client::new(settings.clone()).unwrap_err(), checked);
    Client::new(settings).unwrap_err()
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let dialect = Dialect::OpenAi;
    assert_eq!(refused(|s| s.dialect = Some(dialect)), SettingsError::NoToken { dialect });
    let dialect = Dialect::ZaiWeb;
    assert_eq!(refused(|s| s.guest_tokens = false), SettingsError::NoToken { dialect });
    let header = |setting| SettingsError::Header { setting };
    assert_eq!(refused(|s| s.user_agent = "a\nb".to_owned()), header("user_agent"));
    assert_eq!(refused(|s| s.fe_version = "a\nb".to_owned()), header("fe_version"));
    assert_eq!(refused(|s| s.accept_language = "a\nb".to_owned()), header("accept_language"));
    assert_eq!(refused(|s| s.tokens = vec![Secret::new("a\nb")]), header("token"));
    let host = "example.test".to_owned();
    let error = refused(|s| s.url = "http://example.test/api/chat/completions".to_owned());
    assert_eq!(error, SettingsError::PlainHttp { host });
}

#[test]
fn the_default_settings_make_a_client() {
    assert_eq!(Client::new(Settings::default()).unwrap().dialect(), Dialect::ZaiWeb);
}

#[tokio::test]
async fn no_debug_text_holds_a_secret() {
    let sim = Sim::start(Script::events([web_text("x").as_str(), WEB_DONE])).await.unwrap();
    let mut settings = settings(&sim, Dialect::ZaiWeb);
    settings.tokens = vec![Secret::new("sk-beside-it")];
    let client = Client::new(settings.clone()).unwrap();
    let started = ask(&client).await.unwrap();
    settings.proxy = Some(Secret::new("http://user:pass-of-the-proxy@127.0.0.1:1"));
    let failed = ask(&Client::new(settings.clone()).unwrap()).await.unwrap_err();
    let texts = [
        format!("{settings:?}"),
        format!("{client:?} {:?}", client.tokens()),
        format!("{started:?}"),
        format!("{failed:?} {failed}"),
    ];
    for text in texts {
        for secret in [TOKEN, "sk-beside-it", "pass-of-the-proxy"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
