//! Programs under test, as processes.

use std::process::{Output, Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc::{self, UnboundedReceiver},
};

use crate::bounded;

/// A running program; killed when dropped.
pub struct Program {
    pub process: Child,
    said: UnboundedReceiver<String>,
    log: UnboundedReceiver<String>,
}

/// Runs a program with arguments that must end it.
pub async fn end(mut command: Command, arguments: &[&str]) -> Output {
    bounded("exit", command.args(arguments).kill_on_drop(true).output()).await.unwrap()
}

impl Program {
    pub fn spawn(mut command: Command) -> Self {
        command.env("NO_COLOR", "1").stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let said = lines(process.stdout.take().unwrap());
        let log = lines(process.stderr.take().unwrap());
        Self { process, said, log }
    }

    /// What follows `start` in the next line that the program prints.
    pub async fn line_after(&mut self, start: &str) -> String {
        let line = bounded(start, self.said.recv()).await;
        let line = line.unwrap_or_else(|| panic!("it ended without {start:?}"));
        line.strip_prefix(start).unwrap_or_else(|| panic!("{start:?} does not begin {line:?}")).to_owned()
    }

    /// The next line of the log with this text in it.
    pub async fn wait_for_log(&mut self, text: &str) -> String {
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
    pub async fn rest_of_log(&mut self) -> String {
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
