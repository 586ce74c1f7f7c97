//! The examples as processes.

use std::process::{Output, Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc::{self, UnboundedReceiver},
};

use crate::support::bounded;

/// A running program; killed when dropped.
pub(crate) struct Program {
    pub(crate) process: Child,
    said: UnboundedReceiver<String>,
    log: UnboundedReceiver<String>,
}

/// The example of that name, as cargo has built it.
pub(crate) fn command(example: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("examples").join(example);
    let path = path.with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{} is missing: run `cargo build --examples` first", path.display());
    Command::new(path)
}

/// Runs an example with arguments that must end it.
pub(crate) async fn end(example: &str, arguments: &[&str]) -> Output {
    let mut command = command(example);
    bounded("exit", command.args(arguments).kill_on_drop(true).output()).await.unwrap()
}

impl Program {
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.env("NO_COLOR", "1").stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let said = lines(process.stdout.take().unwrap());
        let log = lines(process.stderr.take().unwrap());
        Self { process, said, log }
    }

    /// What follows `start` in the next line that the program prints.
    pub(crate) async fn line_after(&mut self, start: &str) -> String {
        let line = bounded(start, self.said.recv()).await;
        let line = line.unwrap_or_else(|| panic!("it ended without {start:?}"));
        line.strip_prefix(start).unwrap_or_else(|| panic!("{start:?} does not begin {line:?}")).to_owned()
    }

    /// The next line of the log with this text in it.
    pub(crate) async fn wait_for_log(&mut self, text: &str) -> String {
        let search = async {
            while let Some(line) = self.log.recv().await {
                if line.contains(text) {
                    return line;
                }
            }
            panic!("the log ended without {text:?}");
        };
        bounded(text, search).await
    }

    /// What is left of the log when it has ended.
    pub(crate) async fn rest_of_log(&mut self) -> String {
        let rest = async {
            let mut rest = String::new();
            while let Some(line) = self.log.recv().await {
                rest = rest + &line + "\n";
            }
            rest
        };
        bounded("the end of the log", rest).await
    }
}

/// What a process writes, read at once so that it never waits for its reader.
fn lines(output: impl AsyncRead + Unpin + Send + 'static) -> UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let _ = sender.send(line);
        }
    });
    receiver
}
