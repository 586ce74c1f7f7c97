//! An upstream behind TLS.

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, rustls::ClientConfig, server::TlsStream};

use super::Certificate;
use crate::wire::bounded;

/// A listener that hands its connections to the test.
pub struct TlsServer {
    pub listener: TcpListener,
    pub acceptor: TlsAcceptor,
    certificate: Certificate,
}

impl TlsServer {
    /// Listens, with a certificate for `localhost` and `::1`, and prefers h2.
    pub async fn start(address: &str) -> Self {
        Self::with_protocols(address, &["h2", "http/1.1"]).await
    }

    /// Listens, and offers these protocols in the given order of preference.
    pub async fn with_protocols(address: &str, alpn: &[&str]) -> Self {
        let certificate = Certificate::self_signed(&["localhost", "::1"]);
        let listener = TcpListener::bind(address).await.unwrap();
        Self { listener, acceptor: certificate.acceptor(alpn), certificate }
    }

    pub fn uri(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{host}:{}", self.listener.local_addr().unwrap().port())
    }

    /// The server's certificate, which is its own root.
    pub fn pem(&self) -> &str {
        &self.certificate.pem
    }

    /// Settings of a client that trusts the server's certificate.
    pub fn client_config(&self) -> ClientConfig {
        super::client_config(&self.certificate.der, &[])
    }

    /// Accepts the next connection. Returns it with the negotiated protocol.
    pub async fn accept(&self) -> (TlsStream<TcpStream>, Option<String>) {
        let (tcp, _) = bounded("the proxy to connect", self.listener.accept()).await.unwrap();
        let stream = bounded("TLS", self.acceptor.accept(tcp)).await.unwrap();
        let negotiated = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        (stream, negotiated.map(|protocol| String::from_utf8(protocol).unwrap()))
    }

    /// Fails if there is a connection that was not accepted.
    pub fn expect_untouched(&self) {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(self.listener.poll_accept(&mut cx).is_pending(), "the proxy connected to the upstream");
    }
}
