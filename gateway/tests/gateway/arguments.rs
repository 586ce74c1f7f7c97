//! Arguments that can't be used, and the help.

use tokio::net::TcpListener;

use test_support::{identity::Identity, program::end};

#[tokio::test]
async fn bad_arguments_end_it_with_code_2_and_say_what_is_wrong() {
    let good = "/=http://127.0.0.1:1";
    let table: [(&[&str], &str); 23] = [
        (&[], "--route <PREFIX=UPSTREAM>"),
        (&["--route", "/ws/"], "it has no `=`; write PREFIX=UPSTREAM"),
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
        (&["--route", good, "--redirect-http", "127.0.0.1:0"], "--tls-cert <FILE>"),
    ];
    for (arguments, message) in table {
        let output = end(crate::command(), arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(message), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
}

/// Requires that these further arguments end it with code 1 and that message, the last.
async fn fails(arguments: &[&str], message: &str) {
    let arguments = [&["--route", "/=http://127.0.0.1:1", "--listen", "127.0.0.1:0"], arguments].concat();
    let output = end(crate::command(), &arguments).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    assert!(said.contains(message), "{arguments:?}: {said}");
}

#[tokio::test]
async fn an_address_that_is_taken_ends_it_with_code_1_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = end(crate::command(), &["--route", "/=http://127.0.0.1:1", "--listen", &address]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("{address}: ")) && said.contains("in use"), "{said}");

    let files = Identity::new();
    let tls = ["--tls-cert", &files.chain(), "--tls-key", &files.key(), "--redirect-http", &address];
    fails(&tls, &format!("{address}: ")).await;
}

#[tokio::test]
async fn bad_certificate_files_end_it_with_code_1_and_are_named() {
    let files = Identity::new();
    let (chain, key, missing) = (files.chain(), files.key(), files.path("missing.pem"));
    let stranger = Identity::new();
    let other = stranger.key();
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
        fails(&["--tls-cert", cert, "--tls-key", key], &message).await;
    }
}

#[tokio::test]
async fn help_shows_every_default() {
    let output = end(crate::command(), &["--help"]).await;
    let help = String::from_utf8(output.stdout).unwrap();
    for default in
        ["127.0.0.1:8080", "60s", "30s", "25s", "10s", "250", "off", "preserve", "none", "no limit"]
    {
        assert!(help.contains(&format!("[default: {default}]")), "{default}: {help}");
    }
}
