//! What statements return, what their failures are called, and what happens when nobody waits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_probe::dial::tcp;
use muster_probe::{BoxIo, Class, Dialer, Kind, Postgres, ProbeError, SslMode};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::server::Server;
use crate::{Servers, Test, connect, run};

pub(crate) const TESTS: &[Test] = &[
    ("values_become_json", values),
    ("parameters_take_the_types_of_the_statement", parameters),
    ("statements_that_return_nothing", no_rows),
    ("tables_of_a_schema", tables),
    ("a_missing_table_is_not_yet", missing_table),
    ("wrong_use_is_said", wrong_use),
    ("a_read_only_session_says_so", read_only),
    ("a_terminated_backend_is_a_lost_connection", terminated),
    ("a_cut_stream_is_a_lost_connection", cut),
    ("a_dropped_query_is_cancelled_in_the_server", dropped),
];

async fn admin(server: &Server) -> Postgres {
    connect(server, &server.options(SslMode::Prefer)).await.unwrap()
}

fn values(servers: &Servers) {
    run(async {
        let postgres = admin(servers.plain()).await;
        postgres
            .query("create type mood as enum ('sad', 'ok')", &[])
            .await
            .unwrap();
        postgres
            .query("create domain age as int check (value >= 0)", &[])
            .await
            .unwrap();
        for (sql, expected) in [
            ("true", json!(true)),
            ("null::text", json!(null)),
            ("1::int2", json!(1)),
            ("'-9223372036854775808'::int8", json!(i64::MIN)),
            ("4294967295::oid", json!(4_294_967_295_u32)),
            ("0.1::float4", json!(0.1)),
            ("1e300::float8", json!(1e300)),
            ("'NaN'::float8", json!("NaN")),
            ("10.50::numeric(6,2)", json!(10.5)),
            (
                "12345678901234567890.12::numeric",
                json!("12345678901234567890.12"),
            ),
            ("'it''s'::varchar", json!("it's")),
            ("''::text", json!("")),
            ("'x'::char(3)", json!("x  ")),
            (r#"'{"a": [1, null]}'::jsonb"#, json!({"a": [1, null]})),
            (r#"'[1.5]'::json"#, json!([1.5])),
            (r"'\x00ff'::bytea", json!(r"\x00ff")),
            (
                "'2026-11-24 12:00:00+00'::timestamptz",
                json!("2026-11-24T12:00:00Z"),
            ),
            (
                "'2026-11-24 12:00:00.25'::timestamp",
                json!("2026-11-24T12:00:00.25"),
            ),
            ("'2026-11-24'::date", json!("2026-11-24")),
            ("'12:30:00'::time", json!("12:30:00")),
            ("interval '1 day 2 hours'", json!("1 day 02:00:00")),
            (
                "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
                json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ),
            ("array[1, null, 3]", json!([1, null, 3])),
            (
                "array[array['a', 'b,\"'], array['', 'NULL']]",
                json!([["a", "b,\""], ["", "NULL"]]),
            ),
            (
                "array['2026-11-24 12:00:00+00'::timestamptz]",
                json!(["2026-11-24T12:00:00Z"]),
            ),
            ("array['{}'::jsonb]", json!([{}])),
            ("'ok'::mood", json!("ok")),
            ("array['sad', 'ok']::mood[]", json!(["sad", "ok"])),
            ("7::age", json!(7)),
            ("'10.0.0.0/8'::cidr", json!("10.0.0.0/8")),
            ("int4range(1, 5)", json!("[1,5)")),
            ("row(1, 'a')", json!("(1,a)")),
            ("'(1,2)'::point", json!("(1,2)")),
            ("to_tsvector('simple', 'a b')", json!("'a':1 'b':2")),
            ("b'101'", json!("101")),
        ] {
            let rows = postgres.query(&format!("select {sql} as v"), &[]).await.unwrap();
            assert_eq!(rows.columns, ["v"]);
            assert_eq!(rows.rows[0]["v"], expected, "{sql}");
        }
        let rows = postgres
            .query(
                "select n as b, n * 2 as a from generate_series(1, 3) n order by n desc",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(rows.columns, ["b", "a"]);
        assert_eq!(
            Value::from_iter(rows.rows.iter().map(|row| row["a"].clone())),
            json!([6, 4, 2])
        );
        assert_eq!(rows.affected, 3);
    });
}

fn parameters(servers: &Servers) {
    run(async {
        let postgres = admin(servers.plain()).await;
        let sql = "select $1::int + 1 as n, $2::text as t, $3::bool as b, $4::timestamptz as at, $5::text as nil, \
                   $6::jsonb -> 'k' as j, $7::text[] as l, $8::numeric as d, $9::int[][] as m";
        let params = [
            json!(41),
            json!("it's $1 \\ \"here\"\n; drop table x"),
            json!(false),
            json!("2026-11-24T12:00:00Z"),
            json!(null),
            json!({"k": "a'b\\"}),
            json!(["a", null, "b,\"\\c", ""]),
            json!(1.25),
            json!([[1, 2], [3, 4]]),
        ];
        let row = Value::Object(postgres.query(sql, &params).await.unwrap().rows.remove(0));
        assert_eq!(
            row,
            json!({"n": 42, "t": params[1], "b": false, "at": "2026-11-24T12:00:00Z", "nil": null, "j": "a'b\\",
                   "l": params[6], "d": 1.25, "m": [[1, 2], [3, 4]]})
        );
        let error = postgres
            .query("select $1::int as n", &[json!("x")])
            .await
            .unwrap_err();
        assert_eq!(error.sqlstate.as_deref(), Some("22P02"), "{error}");
        assert_eq!(error.position, None, "a position in what the user did not write");
        // No statement is left behind, neither after success nor after failure.
        let left = postgres
            .query(
                "select name from pg_prepared_statements where name like 'muster%'",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(left.rows, []);
    });
}

fn no_rows(servers: &Servers) {
    run(async {
        let postgres = admin(servers.plain()).await;
        let made = postgres.query("create table no_rows (n int)", &[]).await.unwrap();
        assert_eq!((made.columns.len(), made.rows.len()), (0, 0));
        let sql = "insert into no_rows select generate_series(1, $1::int)";
        assert_eq!(postgres.query(sql, &[json!(4)]).await.unwrap().affected, 4);
        let returned = postgres
            .query("delete from no_rows where n > 2 returning n", &[])
            .await
            .unwrap();
        assert_eq!((returned.affected, returned.rows.len()), (2, 2));
        let none = postgres
            .query("select n from no_rows where false", &[])
            .await
            .unwrap();
        assert_eq!((none.columns.len(), none.rows.len(), none.affected), (1, 0, 0));
        postgres.query("vacuum no_rows", &[]).await.unwrap();
    });
}

fn tables(servers: &Servers) {
    run(async {
        let postgres = admin(servers.plain()).await;
        postgres.query("create schema shop", &[]).await.unwrap();
        assert_eq!(postgres.tables("shop").await.unwrap(), [] as [String; 0]);
        for sql in [
            "create table shop.orders (n int)",
            "create table shop.\"Items\" (n int) partition by list (n)",
            "create view shop.seen as select 1 as n",
        ] {
            postgres.query(sql, &[]).await.unwrap();
        }
        assert_eq!(postgres.tables("shop").await.unwrap(), ["Items", "orders"]);
        let error = postgres.tables("nosuch").await.unwrap_err();
        assert_eq!(error.class(), Class::NotYet);
        assert!(
            error.to_string().contains("schema \"nosuch\" does not exist"),
            "{error}"
        );
    });
}

fn missing_table(servers: &Servers) {
    run(async {
        let postgres = admin(servers.plain()).await;
        let error = postgres
            .query("select 'ä',\n  n from nosuch", &[])
            .await
            .unwrap_err();
        assert_eq!((error.kind, error.class()), (Kind::UndefinedTable, Class::NotYet));
        let position = error.position.clone().unwrap();
        assert_eq!((position.line, position.column), (2, 10));
        let text = error.to_string();
        assert!(
            text.contains("relation \"nosuch\" does not exist (SQLSTATE 42P01) at line 2, column 10"),
            "{text}"
        );
        assert!(text.contains("migration"), "{text}");
        let error = postgres.query("select nn from pg_class", &[]).await.unwrap_err();
        assert_eq!((error.kind, error.class()), (Kind::Sql, Class::Permanent));
        assert_eq!(error.sqlstate.as_deref(), Some("42703"));
        // The connection goes on.
        assert_eq!(
            postgres.query("select 1 as n", &[]).await.unwrap().rows[0]["n"],
            1
        );
    });
}

fn wrong_use(servers: &Servers) {
    run(async {
        let postgres = admin(servers.plain()).await;
        for (sql, params, words) in [
            ("select 1; select 2", vec![], "several statements"),
            ("", vec![], "the statement is empty"),
            ("-- nothing", vec![], "the statement is empty"),
            ("select 1 as n, 2 as n", vec![], "two columns named `n`"),
            (
                "select $1::int as n",
                vec![],
                "has 1 parameter(s) ($1, ...), and 0 value(s) are given",
            ),
            (
                "select 1 as n",
                vec![json!(1)],
                "has 0 parameter(s) ($1, ...), and 1 value(s) are given",
            ),
            ("select $1::text as n", vec![json!("a\0b")], "NUL"),
            (
                "select n from generate_series(1, 10001) n",
                vec![],
                "more than 10000 rows",
            ),
            ("copy pg_class to stdout", vec![], "COPY"),
        ] {
            let error = postgres.query(sql, &params).await.unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{sql}: {error}");
            assert!(error.to_string().contains(words), "{sql}: {error}");
        }
    });
}

fn read_only(servers: &Servers) {
    run(async {
        let server = servers.plain();
        let mut options = server.options(SslMode::Disable);
        options.user = "reader".to_owned();
        let error = connect(server, &options)
            .await
            .unwrap()
            .query("create table t ()", &[])
            .await
            .unwrap_err();
        assert_eq!(error.kind, Kind::ReadOnly, "{error}");
    });
}

fn is_lost(error: &ProbeError) {
    assert_eq!(
        (error.kind, error.class()),
        (Kind::Lost, Class::Transient),
        "{error}"
    );
}

fn terminated(servers: &Servers) {
    run(async {
        let postgres = Arc::new(admin(servers.tls()).await);
        let pid = postgres
            .query("select pg_backend_pid() as pid", &[])
            .await
            .unwrap()
            .rows[0]["pid"]
            .clone();
        let asking = tokio::spawn({
            let postgres = Arc::clone(&postgres);
            async move { postgres.query("select pg_sleep(60)", &[]).await }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        admin(servers.tls())
            .await
            .query("select pg_terminate_backend($1)", &[pid])
            .await
            .unwrap();
        let error = asking.await.unwrap().unwrap_err();
        is_lost(&error);
        assert!(error.to_string().contains("administrator command"), "{error}");
        for _ in 0..100 {
            if postgres.is_closed() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        is_lost(&postgres.query("select 1", &[]).await.unwrap_err());
    });
}

fn cut(servers: &Servers) {
    run(async {
        let server = servers.plain();
        let port = server.port;
        let relay = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&relay);
        let dialer: Dialer = Arc::new(move || {
            let keep = Arc::clone(&keep);
            Box::pin(async move {
                let mut far = TcpStream::connect(("127.0.0.1", port)).await?;
                let (near, mut middle) = tokio::io::duplex(4096);
                let task = tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut middle, &mut far).await;
                });
                *keep.lock().unwrap() = Some(task.abort_handle());
                Ok(Box::new(near) as BoxIo)
            })
        });
        let postgres = Postgres::connect(&server.options(SslMode::Disable), dialer)
            .await
            .unwrap();
        let cut = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            relay.lock().unwrap().take().unwrap().abort();
        };
        let (result, ()) = tokio::join!(postgres.query("select pg_sleep(60)", &[]), cut);
        is_lost(&result.unwrap_err());
    });
}

fn dropped(servers: &Servers) {
    run(async {
        for server in [servers.plain(), servers.tls()] {
            let options = server.options(SslMode::Prefer);
            let postgres = Postgres::connect(&options, tcp("127.0.0.1", server.port))
                .await
                .unwrap();
            let sql = "select pg_sleep(60), $1::text as mark";
            let params = [json!("a slow one")];
            let slow = postgres.query(sql, &params);
            assert!(
                tokio::time::timeout(Duration::from_millis(300), slow)
                    .await
                    .is_err()
            );
            // It answers again at once, where it would have slept for a minute.
            let again =
                tokio::time::timeout(Duration::from_secs(10), postgres.query("select 1 as n", &[])).await;
            assert_eq!(again.expect("still busy").unwrap().rows[0]["n"], 1);
        }
    });
}
