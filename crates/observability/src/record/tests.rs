//! What becomes of a request, in its lines and counts.

use serde_json::Value;

use super::*;
use crate::metrics::Owner;

fn failure(status: u16, kind: &'static str) -> Failure {
    Failure {
        status,
        kind,
        owner: Owner::Upstream,
        of_time: false,
        text: kind.to_owned(),
        param: None,
    }
}

#[test]
fn the_last_requests_are_remembered_with_their_totals() {
    let (_, counters) = lines(|mut record| {
        record.counted();
        record.key("sk-1****abcd", Some("ann"));
        record.asked(Asked { model: "a client's words".into(), ..Asked::default() });
        record.status(200);
        record.usage(3, 4);
        record.whole();
    });
    let ip = IpAddr::from([127, 0, 0, 1]);
    for number in 0..120 {
        let id = RequestId::accept(&format!("req_{number}")).unwrap();
        let mut record = RequestRecord::open(None, counters.clone(), id, "POST", "/x", ip);
        record.counted();
        match number % 3 {
            0 => record.fail(failure(502, "upstream_truncated")),
            1 => record.status(200),
            _ => record.fail(Failure { owner: Owner::Client, ..failure(400, "bad") }),
        }
    }
    let totals = counters.recent().totals();
    assert_eq!((totals.finished, totals.hung_up, totals.failed_by_client), (121, 40, 40));
    assert_eq!((totals.failed_by_upstream, totals.failed_by_gateway), (40, 0));
    assert_eq!((totals.prompt_tokens, totals.completion_tokens), (3, 4));
    let last = counters.recent().since(0);
    assert_eq!((last.len(), last[0].number, last[99].number), (100, 22, 121));
    assert_eq!(last[99].request_id, "req_119");
    assert_eq!(counters.recent().since(119).len(), 2);
    let shown = serde_json::to_string(&last[99]).unwrap();
    assert!(shown.contains(r#""owner":"client""#), "{shown}");
}

/// The lines of a request that goes as `run` says.
fn lines(run: impl FnOnce(Box<RequestRecord>)) -> (Vec<Value>, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let (log, memory, guard) = LogSink::memory();
    let id = RequestId::accept("req_1").unwrap();
    let ip = IpAddr::from([127, 0, 0, 1]);
    run(RequestRecord::open(Some(log), counters.clone(), id, "POST", "/x", ip));
    drop(guard);
    let parsed = memory.lines().into_iter();
    let parsed = parsed.map(|line| serde_json::from_str(&line).unwrap());
    (parsed.collect(), counters)
}

#[test]
fn a_whole_answer_has_one_line_in_and_one_out() {
    let (lines, counters) = lines(|mut record| {
        record.counted();
        record.asked(Asked { model: "m".into(), message_count: 2, ..Asked::default() });
        record.status(200);
        record.usage(3, 4);
        record.first_byte();
        record.bytes(10);
        record.whole();
    });
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["type"], "request");
    assert_eq!(lines[0]["parameters"]["message_count"], 2);
    assert_eq!(lines[0]["parameters"]["parameters"]["temperature"], Value::Null);
    assert_eq!((&lines[1]["status_code"], &lines[1]["level"]), (&200.into(), &"INFO".into()));
    assert_eq!((&lines[1]["completion_tokens"], &lines[1]["bytes_sent"]), (&4.into(), &10.into()));
    assert!(lines[1].get("error").is_none());
    assert_eq!((counters.total_requests(), counters.error_count()), (1, 0));
}

#[test]
fn a_client_that_hangs_up_is_a_499_and_no_error() {
    let (lines, counters) = lines(|mut record| {
        record.counted();
        record.asked(Asked::default());
        record.status(200);
    });
    assert_eq!((&lines[1]["status_code"], &lines[1]["level"]), (&499.into(), &"INFO".into()));
    assert_eq!(counters.error_count(), 0);
}

#[test]
fn a_client_that_is_let_go_of_is_told_from_one_that_goes() {
    for (lost, kind) in [(Lost::Stalled, "client_stalled"), (Lost::Vanished, "client_vanished")] {
        let (lines, _) = lines(|mut record| {
            record.counted();
            record.status(200);
            record.lost(lost);
        });
        assert_eq!((&lines[1]["status_code"], &lines[1]["level"]), (&499.into(), &"INFO".into()));
        assert_eq!(lines[1]["error_kind"], kind);
    }
}

#[test]
fn a_refusal_has_both_lines_and_its_status() {
    let (lines, counters) = lines(|mut record| {
        record.counted();
        record.fail(failure(401, "invalid_api_key"));
    });
    assert_eq!((&lines[0]["type"], &lines[0]["model"]), (&"request".into(), &Value::Null));
    let unknown = serde_json::json!({"message_count": null,
        "parameters": {"stream": null, "temperature": null, "max_tokens": null}});
    assert_eq!(lines[0]["parameters"], unknown, "nothing is claimed that is not known");
    assert_eq!((&lines[1]["status_code"], &lines[1]["level"]), (&401.into(), &"INFO".into()));
    assert_eq!(counters.error_count(), 1);
}

#[test]
fn a_stream_that_fails_is_an_error_under_the_status_it_sent() {
    let (lines, counters) = lines(|mut record| {
        record.counted();
        record.asked(Asked::default());
        record.status(200);
        record.fail(failure(502, "upstream_truncated"));
        record.whole();
    });
    assert_eq!((&lines[1]["status_code"], &lines[1]["level"]), (&200.into(), &"ERROR".into()));
    assert_eq!(lines[1]["error"], "upstream_truncated");
    assert_eq!(counters.error_count(), 1);
}

#[test]
fn time_that_runs_out_is_the_clients_where_it_used_most_of_it() {
    for (waited, owner, level) in [(0, "upstream", "ERROR"), (60, "client", "INFO")] {
        let (lines, _) = lines(|mut record| {
            record.counted();
            record.status(200);
            let now = tokio::time::Instant::now();
            record.waited_for_client(now - Duration::from_secs(waited));
            record.fail(Failure { of_time: true, ..failure(504, "max_connection_time") });
            record.whole();
        });
        let told = (&lines[1]["error_owner"], &lines[1]["level"]);
        assert_eq!(told, (&owner.into(), &level.into()));
    }
}
