//! `--upstream-ca` and `--upstream-native-roots`: https upstreams with certificates of a private authority.

use test_support::{
    Wire,
    process::run,
    tls::{CertificateFiles, TlsServer},
};
use tokio::process::Command;

use crate::{Gateway, command};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: client.example\r\n\r\n";

/// Expects a 200 from the upstream through this gateway.
async fn expect_trust(gateway: &Gateway, upstream: &TlsServer) {
    let mut client = gateway.wire().await;
    client.send(REQUEST).await;
    let mut server = Wire::new(upstream.accept().await.0);
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 200);
}

async fn expect_distrust(gateway: &Gateway, upstream: &TlsServer) {
    let mut client = gateway.wire().await;
    let (head, _) = tokio::join!(client.request(REQUEST), async {
        let (tcp, _) = upstream.listener.accept().await.unwrap();
        upstream.acceptor.accept(tcp).await.is_ok()
    });
    assert_eq!(head.status(), 502);
}

/// A gateway whose machine trusts the certificates in `file`.
async fn on_machine(file: &str, arguments: &[&str]) -> Gateway {
    let mut command: Command = command();
    command.args(arguments).env("SSL_CERT_FILE", file).env_remove("SSL_CERT_DIR");
    Gateway::spawn(command).await
}

#[tokio::test]
async fn a_private_authority_is_trusted_if_its_file_or_the_machine_names_it() {
    let files = CertificateFiles::new();
    let upstream = TlsServer::with_protocols("127.0.0.1:0", &["http/1.1"]).await;
    let (private, other) = (files.write("ca.pem", upstream.pem()), files.chain());
    let route = format!("/={}", upstream.uri("https", "localhost"));
    let gateway = |arguments: &'static [&'static str]| [&["--route", route.as_str()], arguments].concat();

    expect_distrust(&Gateway::start(&gateway(&[])).await, &upstream).await;
    let arguments = [gateway(&["--upstream-ca"]), vec![other.as_str()]].concat();
    expect_distrust(&Gateway::start(&arguments).await, &upstream).await;
    let arguments = [arguments, vec!["--upstream-ca", &private]].concat();
    expect_trust(&Gateway::start(&arguments).await, &upstream).await;

    let native = gateway(&["--upstream-native-roots"]);
    expect_trust(&on_machine(&private, &native).await, &upstream).await;
    expect_distrust(&on_machine(&other, &native).await, &upstream).await;
    let both = [native, vec!["--upstream-ca", &private]].concat();
    expect_trust(&on_machine(&other, &both).await, &upstream).await;
}

#[tokio::test]
async fn unusable_files_exit_with_code_1_and_their_name() {
    let files = CertificateFiles::new();
    let (empty, broken) = (
        files.write("empty.pem", ""),
        files.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    );
    for file in [&empty, &broken, &files.path("missing.pem"), &files.key()] {
        let arguments =
            ["--listen", "127.0.0.1:0", "--route", "/=https://upstream.example", "--upstream-ca", file];
        let output = run(command(), &arguments).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{file}: {errors}");
        assert!(errors.contains(&format!("certificates of upstreams {file}: ")), "{errors}");
    }
}
