//! One exchange, run with nginx and with the Rust program, and its differences.

use std::time::Duration;

use test_support::bounded;

use crate::{
    client::{self, Step},
    proxy::{Proxy, Setup},
    recorder::Recorder,
    response::{After, CannedResponse},
    transcript::{Transcript, only},
};

pub(crate) struct Case {
    setup: Setup,
    name: &'static str,
    /// Index of the configuration's port.
    port: usize,
    steps: Vec<Step>,
    responses: Vec<CannedResponse>,
    differences: Vec<Difference>,
}

/// Lines of one side only, and the row of the table in docs/nginx.md with the reason.
struct Difference {
    row: &'static str,
    lines: Vec<String>,
}

/// A request that does not reach the upstream.
pub(crate) fn refused(setup: Setup, name: &'static str, request: impl AsRef<[u8]>) -> Case {
    let case =
        Case { setup, name, port: 0, steps: Vec::new(), responses: Vec::new(), differences: Vec::new() };
    case.sends(request.as_ref()).reads(request.as_ref())
}

/// A request and the upstream's response.
pub(crate) fn exchange(
    setup: Setup,
    name: &'static str,
    request: impl AsRef<[u8]>,
    response: CannedResponse,
) -> Case {
    refused(setup, name, request).responds(response)
}

/// [`exchange`] for a request that neither side takes for an upgrade.
pub(crate) fn ordinary(
    setup: Setup,
    name: &'static str,
    request: impl AsRef<[u8]>,
    response: CannedResponse,
) -> Case {
    exchange(setup, name, request, response).ordinary("up")
}

impl Case {
    /// A further request on the same connection.
    pub(crate) fn then(self, request: impl AsRef<[u8]>, response: CannedResponse) -> Self {
        let up = format!("up{}", self.responses.len() + 1);
        self.sends(request.as_ref()).reads(request.as_ref()).responds(response).ordinary(&up)
    }

    /// The response to a request that was sent together with the previous one.
    pub(crate) fn pipelined(self, response: CannedResponse) -> Self {
        let up = format!("up{}", self.responses.len() + 1);
        self.step(Step::Response { to_head: false }).responds(response).ordinary(&up)
    }

    /// Bytes sent through the tunnel and echoed.
    pub(crate) fn echoes(self, bytes: &str) -> Self {
        self.sends(bytes.as_bytes()).step(Step::Bytes(bytes.len()))
    }

    /// The connection ends after the last step.
    pub(crate) fn ends(self) -> Self {
        self.step(Step::End { after: Duration::ZERO })
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Replaces the steps.
    pub(crate) fn steps(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.steps = steps.into_iter().collect();
        self
    }

    pub(crate) fn port(mut self, port: usize) -> Self {
        self.port = port;
        self
    }

    /// Lines that differ, and the row with the reason. `- `: nginx only, `+ `: the Rust program only.
    pub(crate) fn differs(mut self, row: &'static str, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        self.differences.push(Difference { row, lines });
        self
    }

    /// Refused by both, and only nginx closes the connection.
    pub(crate) fn stays_open(self) -> Self {
        self.differs("Connection after a refusal", &["- down closes"])
    }

    pub(crate) fn title(&self) -> String {
        format!("{:?}::{}", self.setup, self.name).to_lowercase()
    }

    /// The rows with the reasons of this case.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &'static str> {
        self.differences.iter().map(|difference| difference.row)
    }

    /// Number of requests.
    pub(crate) fn requests(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Response { .. })).count()
    }

    /// The difference of every ordinary request.
    fn ordinary(mut self, up: &str) -> Self {
        let token = match self.setup {
            Setup::D => "close",
            _ => "upgrade",
        };
        let lines = vec![format!("- {up} connection: {token}")];
        self.differences.push(Difference { row: "`Connection` of ordinary requests", lines });
        self
    }

    fn sends(self, bytes: &[u8]) -> Self {
        self.step(Step::Send(bytes.to_vec()))
    }

    fn reads(self, request: &[u8]) -> Self {
        self.step(Step::Response { to_head: request.starts_with(b"HEAD ") })
    }

    fn responds(mut self, response: CannedResponse) -> Self {
        self.responses.push(response);
        self
    }

    /// Runs the exchange with both and compares.
    pub(crate) async fn run(&self) -> Result<(), String> {
        let nginx = Proxy::nginx(self.setup, Recorder::start(&self.responses).await).await;
        let rust = Proxy::rust(self.setup, Recorder::start(&self.responses).await).await;
        let (nginx_received, rust_received) = tokio::join!(
            client::run(&nginx.addresses[self.port], &self.steps),
            client::run(&rust.addresses[self.port], &self.steps),
        );
        if self.responses.iter().any(|response| response.after == After::Record) {
            bounded("the tunnel through nginx to end", nginx.recorder.tunnel_ended()).await;
            bounded("the tunnel through the Rust program to end", rust.recorder.tunnel_ended()).await;
        }
        let with_nginx =
            Transcript::new(&nginx.recorder.received(), &nginx_received, nginx.recorder.addresses);
        let with_rust = Transcript::new(&rust.recorder.received(), &rust_received, rust.recorder.addresses);
        let found = with_nginx.difference(&with_rust);
        let listed: Vec<_> = self.differences.iter().flat_map(|listed| &listed.lines).collect();
        let gone = only(listed.clone(), found.iter().collect());
        let new = only(found.iter().collect(), listed);
        if gone.is_empty() && new.is_empty() {
            return Ok(());
        }
        Err(format!(
            "listed differences that are gone:\n{}\n\ndifferences that are not listed:\n{}\n\n\
             with nginx:\n{}\nwith the Rust program:\n{}\nnginx's log:\n{}",
            gone.join("\n"),
            new.join("\n"),
            with_nginx.text(),
            with_rust.text(),
            nginx.log(),
        ))
    }
}
