//! Invalid arguments, and the help.

use test_support::{process::run, tls::CertificateFiles};
use tokio::net::TcpListener;

#[tokio::test]
async fn bad_arguments_exit_with_code_2_and_a_message() {
    let good = "/=http://127.0.0.1:1";
    let table: [(&[&str], &str); 39] = [
        (&[], "--route <PREFIX=UPSTREAM>"),
        (&["--route", "/ws/"], "`=` is missing; write PREFIX=UPSTREAM"),
        (&["--route", "ws/=http://a"], r#"the prefix "ws/" is not the start of a path"#),
        (&["--route", "=http://a"], r#"the prefix "" is not the start of a path"#),
        (&["--route", "/?x=http://a"], "is not the start of a path"),
        (&["--route", "/="], "it is not a URI"),
        (&["--route", "/=127.0.0.1:9000"], "write http://HOST:PORT or unix:/PATH"),
        (&["--route", "/=unix:app.sock"], "the socket's path must be absolute"),
        (&["--route", good, "--route", good], r#"two routes have the prefix "/""#),
        (&["--route", good, "--idle-timeout", "60"], "time unit needed"),
        (&["--route", good, "--header-timeout", "off"], "expected number"),
        (&["--route", good, "--client-timeout", "off"], "expected number"),
        (&["--route", good, "--drain", "off"], "expected number"),
        (&["--route", good, "--http2-streams", "0"], "number would be zero"),
        (&["--route", good, "--http2-upstream=h3"], "possible values: never, auto, always"),
        (&["--route", good, "--allow", "h2c"], "HTTP inside HTTP is never tunnelled"),
        (&["--route", good, "--listen", "localhost"], "invalid socket address"),
        (&["--route", good, "--max-tunnels-per-client", "all"], "invalid digit found in string"),
        (&["--route", good, "--allow-origin", "app.example"], "it has no scheme"),
        (&["--route", good, "--trust", "10.0.0.0"], "invalid IP address syntax"),
        (&["--route", good, "--tls-cert", "a.pem"], "--tls-key <FILE>"),
        (&["--route", good, "--tls-key", "a.pem"], "--tls-cert <FILE>"),
        (&["--route", good, "--ping-timeout", "1s"], "--ping <INTERVAL>"),
        (&["--route", good, "--upstream-native-roots"], "need a route to an https upstream"),
        (&["--route", good, "--upstream-ca", "a.pem"], "need a route to an https upstream"),
        (&["--route", good, "--rate-limit", "1x"], "unknown unit \"x\""),
        (&["--route", good, "--max-message-size", "0"], "the number must be at least 1"),
        (&["--route", good, "--header-case", "upper"], "possible values: lower, preserve, title"),
        (&["--route", "/=http://a,http://a"], "is there twice; give it a weight"),
        (&["--route", good, "--balance", "least"], "need a route with several upstreams"),
        (&["--route", "/=http://a,http://b", "--balance", "ip-hash"], "hash:path or hash:path:N"),
        (&["--route", "/=http://a,http://b", "--retry", "few"], "write a number, or off"),
        (&["--route", good, "--outlier", "3"], "need a route with several upstreams"),
        (&["--route", "/=http://a,http://b", "--outlier", "0"], "write a number from 1, or off"),
        (&["--route", good, "--sticky", "up"], "need a route with several upstreams"),
        (&["--route", "/=http://a,http://b", "--sticky", "a b"], "it is not a token"),
        (&["--route", good, "--slow-start", "30s"], "need a route with several upstreams"),
        (&["--route", good, "--retry-on", "unanswered"], "need a route with several upstreams"),
        (&["--route", good, "--redirect-http", "127.0.0.1:0"], "--tls-cert <FILE>"),
    ];
    for (arguments, message) in table {
        let output = run(crate::command(), arguments).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
        assert!(output.stdout.is_empty());
    }
}

/// Expects that the gateway exits with code 1 and this message, given these further arguments.
async fn expect_failure(arguments: &[&str], message: &str) {
    let arguments = [&["--route", "/=http://127.0.0.1:1", "--listen", "127.0.0.1:0"], arguments].concat();
    let output = run(crate::command(), &arguments).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
    assert!(errors.contains(message), "{arguments:?}: {errors}");
}

#[tokio::test]
async fn an_address_in_use_exits_with_code_1_and_names_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let output = run(crate::command(), &["--route", "/=http://127.0.0.1:1", "--listen", &address]).await;
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains(&format!("{address}: ")) && errors.contains("in use"), "{errors}");

    let files = CertificateFiles::new();
    let tls = ["--tls-cert", &files.chain(), "--tls-key", &files.key(), "--redirect-http", &address];
    expect_failure(&tls, &format!("{address}: ")).await;
}

#[tokio::test]
async fn bad_certificate_files_exit_with_code_1_and_name_the_files() {
    let files = CertificateFiles::new();
    let (chain, key, missing) = (files.chain(), files.key(), files.path("missing.pem"));
    let others = CertificateFiles::new();
    let other = others.key();
    let text = files.write("text.pem", "not PEM at all\n");
    let broken = files.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    let table = [
        (&missing, &key, format!("certificate chain {missing}: ")),
        (&text, &key, format!("certificate chain {text}: no items found")),
        (&broken, &key, format!("certificate chain {broken}: ")),
        (&key, &key, format!("certificate chain {key}: no items found")),
        (&chain, &missing, format!("private key {missing}: ")),
        (&chain, &text, format!("private key {text}: no items found")),
        (&chain, &chain, format!("private key {chain}: no items found")),
        (&chain, &other, format!("certificate {chain} with key {other}: ")),
    ];
    for (cert, key, message) in table {
        expect_failure(&["--tls-cert", cert, "--tls-key", key], &message).await;
    }
}

#[tokio::test]
async fn help_shows_every_default() {
    let output = run(crate::command(), &["--help"]).await;
    let help = String::from_utf8(output.stdout).unwrap();
    for default in [
        "127.0.0.1:8080",
        "60s",
        "30s",
        "25s",
        "10s",
        "75s",
        "100",
        "1000",
        "16384",
        "lower",
        "off",
        "preserve",
        "none",
        "no limit",
    ] {
        assert!(help.contains(&format!("[default: {default}]")), "{default}: {help}");
    }
}
