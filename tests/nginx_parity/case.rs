//! One exchange, to be had with nginx and with us, and in what the two differ.

use std::time::Duration;

use crate::{
    answer::Answer,
    client::{self, Step},
    front::{Front, Setup},
    recorder::Recorder,
    transcript::{Transcript, only},
};

pub(crate) struct Case {
    setup: Setup,
    name: &'static str,
    /// Which of the configuration's ports.
    port: usize,
    steps: Vec<Step>,
    answers: Vec<Answer>,
    differences: Vec<Difference>,
}

/// Lines that only one side has, and the row of the table in docs/nginx.md that gives the reason.
struct Difference {
    row: &'static str,
    lines: Vec<String>,
}

/// A request that never reaches the upstream.
pub(crate) fn refused(setup: Setup, name: &'static str, request: impl AsRef<[u8]>) -> Case {
    let case = Case { setup, name, port: 0, steps: Vec::new(), answers: Vec::new(), differences: Vec::new() };
    case.sends(request.as_ref()).reads(request.as_ref())
}

/// A request, and the answer to it.
pub(crate) fn exchange(setup: Setup, name: &'static str, request: impl AsRef<[u8]>, answer: Answer) -> Case {
    refused(setup, name, request).answered(answer)
}

/// The same for what nobody takes for an upgrade.
pub(crate) fn ordinary(setup: Setup, name: &'static str, request: impl AsRef<[u8]>, answer: Answer) -> Case {
    exchange(setup, name, request, answer).ordinary("up")
}

impl Case {
    /// A further request on the same connection.
    pub(crate) fn then(self, request: impl AsRef<[u8]>, answer: Answer) -> Self {
        let up = format!("up{}", self.answers.len() + 1);
        self.sends(request.as_ref()).reads(request.as_ref()).answered(answer).ordinary(&up)
    }

    /// The answer to a request that was sent in the same breath as the one before.
    pub(crate) fn pipelined(self, answer: Answer) -> Self {
        let up = format!("up{}", self.answers.len() + 1);
        self.step(Step::Response { to_head: false }).answered(answer).ordinary(&up)
    }

    /// Bytes through the tunnel and back.
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

    /// These steps instead.
    pub(crate) fn steps(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.steps = steps.into_iter().collect();
        self
    }

    pub(crate) fn port(mut self, port: usize) -> Self {
        self.port = port;
        self
    }

    /// Where the two differ, and the row that says why. `- `: nginx alone, `+ `: we alone.
    pub(crate) fn differs(mut self, row: &'static str, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        self.differences.push(Difference { row, lines });
        self
    }

    /// Refused by both, and nginx closes the connection.
    pub(crate) fn stays_open(self) -> Self {
        self.differs("Connection after a refusal", &["- down closes"])
    }

    pub(crate) fn title(&self) -> String {
        format!("{:?}::{}", self.setup, self.name).to_lowercase()
    }

    /// The rows that this case gives as reasons.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &'static str> {
        self.differences.iter().map(|difference| difference.row)
    }

    /// How many requests the client sends.
    pub(crate) fn requests(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Response { .. })).count()
    }

    /// What every ordinary request differs in.
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

    fn answered(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    /// Has the exchange with both, and compares.
    pub(crate) async fn run(&self) -> Result<(), String> {
        let nginx = Front::nginx(self.setup, Recorder::start(&self.answers).await).await;
        let ours = Front::ours(self.setup, Recorder::start(&self.answers).await).await;
        let (nginx_got, ours_got) = tokio::join!(
            client::run(&nginx.addresses[self.port], &self.steps),
            client::run(&ours.addresses[self.port], &self.steps),
        );
        let with_nginx = Transcript::new(&nginx.recorder.seen(), &nginx_got, nginx.recorder.addresses);
        let with_us = Transcript::new(&ours.recorder.seen(), &ours_got, ours.recorder.addresses);
        let found = with_nginx.difference(&with_us);
        let listed: Vec<_> = self.differences.iter().flat_map(|listed| &listed.lines).collect();
        let gone = only(listed.clone(), found.iter().collect());
        let new = only(found.iter().collect(), listed);
        if gone.is_empty() && new.is_empty() {
            return Ok(());
        }
        Err(format!(
            "listed differences that are gone:\n{}\n\ndifferences that are not listed:\n{}\n\n\
             with nginx:\n{}\nwith us:\n{}\nnginx's log:\n{}",
            gone.join("\n"),
            new.join("\n"),
            with_nginx.text(),
            with_us.text(),
            nginx.log(),
        ))
    }
}
