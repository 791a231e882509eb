//! What muster does when the API server misbehaves: a scripted server on loopback answers as real ones do when they
//! restart, are overloaded, forget history or forbid watching.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_cluster::{
    ApplyOptions, Change, Cluster, ConnectError, ConnectOptions, DeleteOptions, Deletion, ErrorClass, Kind,
    Outcome, Patch, Query, ResolveError, Selector, Target,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// What the server does with one request.
enum Answer {
    /// Status, more headers, body.
    Full(u16, &'static str, String),
    /// A chunked body of these lines, then a clean end.
    Stream(Vec<Value>),
    /// A chunked body of these lines, then the connection is dropped.
    Broken(Vec<Value>),
    /// A chunked body of these lines, then silence.
    Open(Vec<Value>),
    /// The request is read and the connection dropped.
    Drop,
}

fn ok(body: Value) -> Answer {
    Answer::Full(200, "", body.to_string())
}

fn status(code: u16, reason: &str, message: &str) -> Answer {
    Answer::Full(
        code,
        "",
        json!({"kind": "Status", "code": code, "reason": reason, "message": message}).to_string(),
    )
}

/// A server with its script: answers to requests whose `METHOD path` starts so, in order.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    folder: tempfile::TempDir,
}

type Script = Arc<Mutex<VecDeque<(&'static str, Answer)>>>;

impl Server {
    async fn start(script: Vec<(&'static str, Answer)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Script = Arc::new(Mutex::new(script.into()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        Self { port, seen, folder }
    }

    fn options(&self) -> ConnectOptions {
        let path = self.folder.path().join("config");
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "scripted",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "scripted", "context": {"cluster": "c", "user": "u"}}]});
        std::fs::write(&path, config.to_string()).unwrap();
        ConnectOptions {
            kubeconfig: Some(path),
            ..ConnectOptions::default()
        }
    }

    async fn connect(&self) -> (Cluster, Arc<Mutex<Vec<String>>>) {
        let cluster = Cluster::connect(&self.options()).await.unwrap();
        let notices = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&notices);
        let cluster = cluster.on_notice(move |notice| sink.lock().unwrap().push(notice.to_string()));
        self.seen.lock().unwrap().clear();
        (cluster.scoped(), notices)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(socket: tokio::net::TcpStream, script: Script, log: Arc<Mutex<Vec<String>>>) {
    let mut socket = BufReader::new(socket);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if socket.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let length = head
            .iter()
            .filter_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length:")
                    .map(str::to_owned)
            })
            .find_map(|value| value.trim().parse::<usize>().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await.unwrap();
        let request = head[0].trim_end_matches(" HTTP/1.1").to_owned();
        let agent = format!("muster/{}", env!("CARGO_PKG_VERSION"));
        assert!(
            head.iter()
                .any(|line| line.to_lowercase() == format!("user-agent: {agent}")),
            "{head:?}"
        );
        log.lock().unwrap().push(request.clone());
        let answer = {
            let mut script = script.lock().unwrap();
            if request == "GET /version" {
                ok(json!({"gitVersion": "v1.34.4"}))
            } else if script
                .front()
                .is_some_and(|(prefix, _)| request.starts_with(prefix))
            {
                script.pop_front().unwrap().1
            } else {
                Answer::Full(418, "", format!("not in the script: {request}"))
            }
        };
        let chunked =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        match answer {
            Answer::Full(code, headers, body) => {
                let text = format!(
                    "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
                    body.len()
                );
                socket.write_all(text.as_bytes()).await.unwrap();
            }
            Answer::Drop => return,
            Answer::Stream(lines) => {
                socket.write_all(chunked.as_bytes()).await.unwrap();
                chunks(&mut socket, lines).await;
                socket.write_all(b"0\r\n\r\n").await.unwrap();
            }
            Answer::Broken(lines) => {
                socket.write_all(chunked.as_bytes()).await.unwrap();
                chunks(&mut socket, lines).await;
                return;
            }
            Answer::Open(lines) => {
                socket.write_all(chunked.as_bytes()).await.unwrap();
                chunks(&mut socket, lines).await;
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn chunks(socket: &mut BufReader<tokio::net::TcpStream>, lines: Vec<Value>) {
    for line in lines {
        let text = format!("{line}\n");
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        socket.write_all(chunk.as_bytes()).await.unwrap();
    }
    socket.flush().await.unwrap();
}

fn widgets() -> Kind {
    Kind {
        group: "example.com".into(),
        version: "v1".into(),
        api_version: "example.com/v1".into(),
        kind: "Widget".into(),
        plural: "widgets".into(),
        singular: "widget".into(),
        short_names: vec![],
        namespaced: true,
        verbs: vec![],
        subresources: vec![],
    }
}

fn widget(name: &str, version: u32) -> Value {
    json!({"metadata": {"name": name, "namespace": "db", "uid": name, "resourceVersion": version.to_string(),
        "managedFields": [{"manager": "x"}]}})
}

fn list(version: u32, items: Vec<Value>) -> Answer {
    ok(json!({"kind": "WidgetList", "metadata": {"resourceVersion": version.to_string()}, "items": items}))
}

fn event(kind: &str, object: Value) -> Value {
    json!({"type": kind, "object": object})
}

fn by_name(name: &str) -> Query {
    Query {
        kind: widgets(),
        namespace: Some("db".into()),
        target: Target::Name(name.into()),
    }
}

const ONE: &str = "/apis/example.com/v1/namespaces/db/widgets/a";
const ALL: &str = "GET /apis/example.com/v1/namespaces/db/widgets";

fn version_of(change: &Change) -> String {
    match change {
        Change::Applied(object) => format!("applied {}", object.resource_version()),
        Change::Deleted(object) => format!("deleted {}", object.resource_version()),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_read_is_sent_again_after_any_transient_error_and_each_time_is_told() {
    let server = Server::start(vec![
        ("GET", status(503, "ServiceUnavailable", "starting")),
        ("GET", Answer::Drop),
        ("GET", status(429, "TooManyRequests", "slow down")),
        ("GET", ok(widget("a", 1))),
    ])
    .await;
    let (cluster, notices) = server.connect().await;
    let object = cluster.get(&widgets(), Some("db"), "a").await.unwrap().unwrap();
    assert_eq!(object.kind(), "Widget");
    assert!(object.at(&["metadata", "managedFields"]).is_none());
    let requests = cluster.requests();
    assert_eq!((requests.sent, requests.retried), (4, 3));
    let notices = notices.lock().unwrap();
    assert_eq!(
        notices[0],
        "get widget/a in namespace db: starting, sent again (2)"
    );
    assert_eq!(
        notices[1],
        "get widget/a in namespace db: connection lost, sent again (3)"
    );
    assert_eq!(notices.len(), 3, "{notices:?}");
}

#[tokio::test]
async fn a_scopes_requests_are_also_its_parents() {
    let server = Server::start(vec![("GET", ok(widget("a", 1))), ("GET", ok(widget("a", 1)))]).await;
    let (cluster, _) = server.connect().await;
    let step = cluster.scoped();
    step.get(&widgets(), Some("db"), "a").await.unwrap();
    cluster.get(&widgets(), Some("db"), "a").await.unwrap();
    assert_eq!((step.requests().sent, cluster.requests().sent), (1, 2));
}

#[tokio::test]
async fn a_deadline_ends_the_repetition_and_the_error_says_how_often_it_was_sent() {
    let script = (0..100).map(|_| ("GET", status(503, "ServiceUnavailable", "starting")));
    let server = Server::start(script.collect()).await;
    let (cluster, _) = server.connect().await;
    let began = Instant::now();
    let hurried = cluster.with_deadline(began + Duration::from_millis(400));
    let error = hurried.get(&widgets(), Some("db"), "a").await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(800));
    assert_eq!(error.class, ErrorClass::Server);
    assert!(error.attempts >= 3, "{error}");
    assert!(
        error
            .to_string()
            .starts_with("get widget/a in namespace db: starting (sent "),
        "{error}"
    );
    let late = cluster
        .with_deadline(began)
        .get(&widgets(), Some("db"), "a")
        .await
        .unwrap_err();
    assert_eq!(
        late.to_string(),
        "get widget/a in namespace db: no time was left to send it"
    );
}

#[tokio::test]
async fn permanent_errors_are_not_sent_again() {
    let server = Server::start(vec![(
        "GET",
        status(403, "Forbidden", "widgets is forbidden: User \"x\" cannot get it"),
    )])
    .await;
    let (cluster, _) = server.connect().await;
    let error = cluster.get(&widgets(), Some("db"), "a").await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Forbidden);
    assert!(
        error
            .to_string()
            .contains("kubectl auth can-i get widgets.example.com -n db"),
        "{error}"
    );
    assert_eq!(cluster.requests().sent, 1);
}

#[tokio::test]
async fn a_merge_patch_is_sent_again_and_a_json_patch_is_not() {
    let server = Server::start(vec![
        ("PATCH", Answer::Drop),
        ("PATCH", ok(widget("a", 2))),
        ("PATCH", Answer::Drop),
    ])
    .await;
    let (cluster, _) = server.connect().await;
    let merge = Patch::Merge(json!({}));
    let written = cluster
        .patch(&widgets(), Some("db"), "a", &merge, None, "muster")
        .await
        .unwrap();
    assert_eq!(written.outcome, Outcome::Unknown);
    let json = Patch::Json(json!([]));
    let error = cluster
        .patch(&widgets(), Some("db"), "a", &json, None, "muster")
        .await
        .unwrap_err();
    assert_eq!((error.class, error.attempts), (ErrorClass::Connection, 1));
}

fn discovery() -> Vec<(&'static str, Answer)> {
    let core = json!({"kind": "APIGroupDiscoveryList", "items": []});
    let apis = json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "example.com"}, "versions": [
        {"version": "v1", "resources": [{"resource": "widgets", "singularResource": "widget", "scope": "Namespaced",
            "responseKind": {"group": "example.com", "version": "v1", "kind": "Widget"}, "verbs": ["get"]}]}]}]});
    vec![("GET /api", ok(core)), ("GET /apis", ok(apis))]
}

fn manifest() -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": "a", "namespace": "db", "labels": {"muster.dev/run": "r1"}}})
}

#[tokio::test]
async fn an_apply_whose_answer_was_lost_has_an_unknown_outcome_unless_the_next_creates() {
    let mut script = discovery();
    script.extend([
        ("PATCH", Answer::Drop),
        ("PATCH", ok(widget("a", 2))),
        ("PATCH", Answer::Drop),
        ("PATCH", Answer::Full(201, "", widget("a", 3).to_string())),
    ]);
    let server = Server::start(script).await;
    let (cluster, _) = server.connect().await;
    let options = ApplyOptions::default();
    let first = cluster.apply(&manifest(), None, &options).await.unwrap();
    assert_eq!(first.outcome, Outcome::Unknown);
    let second = cluster.apply(&manifest(), None, &options).await.unwrap();
    assert_eq!(second.outcome, Outcome::Created);
    let path = format!("PATCH {ONE}?fieldManager=muster&fieldValidation=Strict&force=false");
    assert_eq!(server.seen()[2], path);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_not_sent_again_but_looked_for_by_its_labels() {
    let ours = json!({"metadata": {"name": "a", "namespace": "db", "labels": {"muster.dev/run": "r1"}}});
    let theirs = json!({"metadata": {"name": "a", "namespace": "db", "labels": {"muster.dev/run": "r2"}}});
    let mut script = discovery();
    script.extend([
        ("POST", Answer::Drop),
        ("GET", ok(ours)),
        ("POST", Answer::Drop),
        ("GET", ok(theirs)),
        ("POST", Answer::Full(503, "retry-after: 0\r\n", String::new())),
        ("POST", Answer::Full(201, "", widget("a", 1).to_string())),
    ]);
    let server = Server::start(script).await;
    let (cluster, _) = server.connect().await;
    assert_eq!(
        cluster.create(&manifest(), None).await.unwrap().outcome,
        Outcome::Unknown
    );
    assert_eq!(
        cluster.create(&manifest(), None).await.unwrap_err().class,
        ErrorClass::Connection
    );
    assert_eq!(
        cluster.create(&manifest(), None).await.unwrap().outcome,
        Outcome::Created
    );
}

#[tokio::test]
async fn a_delete_with_a_uid_is_sent_again_and_one_without_is_not() {
    let not_found = || {
        Answer::Full(
            404,
            "",
            json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "widgets \"a\" not found",
            "details": {"name": "a"}})
            .to_string(),
        )
    };
    let server = Server::start(vec![
        ("DELETE", Answer::Drop),
        ("DELETE", not_found()),
        ("DELETE", not_found()),
        ("DELETE", Answer::Drop),
    ])
    .await;
    let (cluster, _) = server.connect().await;
    let with_uid = DeleteOptions {
        uid: Some("u".into()),
        ..DeleteOptions::default()
    };
    let delete = async |options: &DeleteOptions| cluster.delete(&widgets(), Some("db"), "a", options).await;
    assert_eq!(delete(&with_uid).await.unwrap(), Deletion::Gone);
    assert_eq!(delete(&with_uid).await.unwrap(), Deletion::NotFound);
    let error = delete(&DeleteOptions::default()).await.unwrap_err();
    assert_eq!((error.class, error.attempts), (ErrorClass::Connection, 1));
}

#[tokio::test]
async fn a_watch_lists_first_and_resumes_at_the_last_version_after_a_break() {
    let server = Server::start(vec![
        (ALL, list(5, vec![widget("a", 3)])),
        (
            ALL,
            Answer::Broken(vec![
                event("MODIFIED", widget("a", 6)),
                event("BOOKMARK", json!({"metadata": {"resourceVersion": "8"}})),
            ]),
        ),
        (ALL, Answer::Stream(vec![event("DELETED", widget("a", 9))])),
        (ALL, Answer::Open(vec![event("ADDED", widget("a", 11))])),
    ])
    .await;
    let (cluster, notices) = server.connect().await;
    let mut watch = cluster.watch(by_name("a"));
    assert_eq!(cluster.requests().sent, 0);
    assert_eq!(watch.next().await.unwrap(), Change::Synced);
    assert_eq!(cluster.requests().sent, 1, "no WATCH before the second call");
    assert_eq!(watch.objects().next().unwrap().resource_version(), "3");
    let mut changes = Vec::new();
    for _ in 0..3 {
        changes.push(version_of(&watch.next().await.unwrap()));
    }
    assert_eq!(changes, ["applied 6", "deleted 9", "applied 11"]);
    let seen = server.seen();
    assert_eq!(seen[0], format!("{ALL}?fieldSelector=metadata.name%3Da"));
    let from = |version: u32| {
        format!(
            "{ALL}?fieldSelector=metadata.name%3Da&watch=1&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion={version}"
        )
    };
    assert_eq!(seen[1..], [from(5), from(8), from(9)]);
    let notices = notices.lock().unwrap();
    assert_eq!(notices.len(), 1, "a clean end is no trouble: {notices:?}");
    assert_eq!(cluster.requests().retried, 1);
    assert_eq!(
        notices[0],
        "watch widget/a in namespace db: connection lost, sent again (2)"
    );
}

#[tokio::test]
async fn a_lost_history_is_told_and_listed_again() {
    let gone =
        json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"});
    let server = Server::start(vec![
        (ALL, list(5, vec![widget("a", 3), widget("b", 4)])),
        (ALL, Answer::Stream(vec![event("ERROR", gone)])),
        (ALL, list(50, vec![widget("b", 40)])),
        (ALL, status(410, "Expired", "too old resource version")),
        (ALL, list(60, vec![])),
    ])
    .await;
    let (cluster, _) = server.connect().await;
    let mut watch = cluster.watch(Query {
        target: Target::All,
        ..by_name("")
    });
    assert_eq!(watch.next().await.unwrap(), Change::Synced);
    assert_eq!(watch.next().await.unwrap(), Change::Relisted);
    let names: Vec<_> = watch.objects().map(|object| object.name().to_owned()).collect();
    assert_eq!(names, ["b"]);
    assert_eq!(watch.next().await.unwrap(), Change::Relisted);
    assert_eq!(watch.objects().count(), 0);
}

#[tokio::test]
async fn a_kind_that_is_not_served_yet_is_waited_for() {
    let server = Server::start(vec![
        (ALL, Answer::Full(404, "", "404 page not found".into())),
        (ALL, Answer::Full(404, "", "404 page not found".into())),
        (ALL, list(5, vec![widget("a", 3)])),
    ])
    .await;
    let (cluster, _) = server.connect().await;
    let mut watch = cluster.watch(by_name("a"));
    assert_eq!(watch.next().await.unwrap(), Change::Unserved);
    assert_eq!(watch.next().await.unwrap(), Change::Synced);
    assert_eq!(watch.objects().count(), 1);
}

#[tokio::test]
async fn where_watching_is_forbidden_the_objects_are_polled_and_that_is_told() {
    let server = Server::start(vec![
        (ALL, list(5, vec![widget("a", 3), widget("b", 4)])),
        (ALL, status(403, "Forbidden", "cannot watch")),
        (ALL, list(6, vec![widget("a", 3), widget("b", 6)])),
        (ALL, list(7, vec![widget("a", 3)])),
    ])
    .await;
    let (cluster, notices) = server.connect().await;
    let mut watch = cluster.watch(Query {
        target: Target::Labels(Selector::all()),
        ..by_name("")
    });
    assert_eq!(watch.next().await.unwrap(), Change::Synced);
    assert_eq!(version_of(&watch.next().await.unwrap()), "applied 6");
    assert_eq!(version_of(&watch.next().await.unwrap()), "deleted 6");
    let notices = notices.lock().unwrap();
    assert_eq!(
        *notices,
        [
            "watch widgets.example.com in namespace db: only get and list are allowed, not watch (cannot watch); reading every \
          0.5 to 5 s instead, so states in between are not seen"
        ]
    );
}

#[tokio::test]
async fn a_kind_that_nobody_can_watch_is_polled() {
    let server = Server::start(vec![
        (ALL, list(5, vec![])),
        (
            ALL,
            status(405, "MethodNotAllowed", "the server does not allow this method"),
        ),
        (ALL, list(6, vec![widget("a", 6)])),
    ])
    .await;
    let (cluster, _) = server.connect().await;
    let mut watch = cluster.watch(by_name("a"));
    assert_eq!(watch.next().await.unwrap(), Change::Synced);
    assert_eq!(version_of(&watch.next().await.unwrap()), "applied 6");
}

#[tokio::test]
async fn where_only_get_is_allowed_the_object_is_polled_by_name() {
    let one = "GET /apis/example.com/v1/namespaces/db/widgets/a";
    let missing = json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "m", "details": {"name": "a"}});
    let server = Server::start(vec![
        (ALL, status(403, "Forbidden", "cannot list")),
        (one, Answer::Full(404, "", missing.to_string())),
        (one, ok(widget("a", 6))),
    ])
    .await;
    let (cluster, notices) = server.connect().await;
    let mut watch = cluster.watch(by_name("a"));
    assert_eq!(watch.next().await.unwrap(), Change::Synced);
    assert_eq!(watch.objects().count(), 0);
    assert_eq!(version_of(&watch.next().await.unwrap()), "applied 6");
    assert!(notices.lock().unwrap()[0].contains("only get is allowed"));
}

#[tokio::test]
async fn a_watch_that_may_read_nothing_says_so_at_once() {
    let server = Server::start(vec![
        (ALL, status(403, "Forbidden", "cannot list")),
        ("GET", status(403, "Forbidden", "cannot get")),
    ])
    .await;
    let (cluster, _) = server.connect().await;
    let error = cluster.watch(by_name("a")).next().await.unwrap_err();
    assert!(error.to_string().contains("cannot list"), "{error}");
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let server = Server::start(vec![
        (ALL, list(5, vec![])),
        (
            ALL,
            Answer::Open(vec![
                event("ADDED", widget("a", 6)),
                event("MODIFIED", widget("a", 7)),
            ]),
        ),
    ])
    .await;
    let (cluster, _) = server.connect().await;
    let mut watch = cluster.watch(by_name("a"));
    let mut changes = Vec::new();
    let began = Instant::now();
    while changes.len() < 3 {
        assert!(began.elapsed() < Duration::from_secs(5), "{changes:?}");
        if let Ok(change) = tokio::time::timeout(Duration::from_micros(200), watch.next()).await {
            changes.push(version_of(&change.unwrap()));
        }
    }
    assert_eq!(changes, ["Synced", "applied 6", "applied 7"]);
    assert_eq!(cluster.requests().sent, 2);
}

#[tokio::test]
async fn discovery_is_asked_once_and_again_for_an_unknown_word() {
    let mut script = discovery();
    script.extend(discovery());
    let server = Server::start(script).await;
    let (cluster, _) = server.connect().await;
    assert_eq!(cluster.resolve("widgets", None).await.unwrap().kind, "Widget");
    assert_eq!(
        cluster
            .resolve("Widget", Some("example.com/v1"))
            .await
            .unwrap()
            .plural,
        "widgets"
    );
    assert_eq!(cluster.requests().sent, 2);
    let error = cluster.resolve("widgit", None).await.unwrap_err();
    assert!(
        matches!(&error, ResolveError::Unknown { suggestions, .. } if suggestions == &["Widget"]),
        "{error}"
    );
    assert_eq!(cluster.requests().sent, 4);
}

#[tokio::test]
async fn a_server_without_aggregated_discovery_is_told() {
    let server = Server::start(vec![(
        "GET /api",
        ok(json!({"kind": "APIVersions", "versions": ["v1"]})),
    )])
    .await;
    let (cluster, _) = server.connect().await;
    let error = cluster.resolve("pod", None).await.unwrap_err().to_string();
    assert!(error.contains("Kubernetes 1.27 or later"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_at_once() {
    let server = Server::start(vec![]).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let dead = Server { port, ..server };
    let began = Instant::now();
    let error = Cluster::connect(&dead.options()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_server_that_never_answers_is_told_after_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start(vec![]).await;
    let silent = Server {
        port: listener.local_addr().unwrap().port(),
        ..server
    };
    let options = ConnectOptions {
        timeout: Duration::from_secs(1),
        ..silent.options()
    };
    let error = Cluster::connect(&options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
}

fn with_plugin(server: &Server, command: &str, script: &str) -> ConnectOptions {
    let options = server.options();
    let path = options.kubeconfig.clone().unwrap();
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["users"][0]["user"] = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command,
        "args": ["-c", script], "interactiveMode": "Never"}});
    std::fs::write(&path, config.to_string()).unwrap();
    ConnectOptions {
        timeout: Duration::from_secs(2),
        ..options
    }
}

#[tokio::test]
async fn a_credential_plugin_that_hangs_fails_or_is_missing_is_named() {
    let server = Server::start(vec![]).await;
    let hangs = Cluster::connect(&with_plugin(&server, "sh", "exec sleep 4"))
        .await
        .unwrap_err();
    assert!(
        matches!(&hangs, ConnectError::Plugin { command, .. } if command == "sh"),
        "{hangs}"
    );
    let fails = with_plugin(&server, "sh", "echo secret; echo no session >&2; exit 3");
    let fails = Cluster::connect(&fails).await.unwrap_err().to_string();
    assert!(
        fails.contains("no session") && !fails.contains("secret"),
        "{fails}"
    );
    let missing = with_plugin(&server, "/nonexistent/get-token", "");
    let missing = Cluster::connect(&missing).await.unwrap_err().to_string();
    assert!(
        missing.contains("/nonexistent/get-token can't be started"),
        "{missing}"
    );
}

#[tokio::test]
async fn something_that_is_no_api_server_is_told() {
    let server = Server::start(vec![("GET /", ok(json!({})))]).await;
    let options = server.options();
    let path = options.kubeconfig.clone().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let prefixed = text.replace(&format!(":{}", server.port), &format!(":{}/other", server.port));
    std::fs::write(&path, prefixed).unwrap();
    let error = Cluster::connect(&options).await.unwrap_err();
    assert!(
        error.to_string().contains("this is no Kubernetes API server"),
        "{error}"
    );
}
