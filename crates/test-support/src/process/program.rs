//! Programs as processes.

use std::{
    net::SocketAddr,
    process::{Output, Stdio},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    net::TcpStream,
    process::{Child, Command},
    sync::mpsc::{self, UnboundedReceiver},
};

use crate::wire::{Wire, bounded};

/// A running program; killed when dropped.
pub struct Program {
    pub process: Child,
    printed: UnboundedReceiver<String>,
    log: UnboundedReceiver<String>,
}

/// Runs a program that ends by itself.
pub async fn run(mut command: Command, arguments: &[&str]) -> Output {
    bounded("exit", command.args(arguments).kill_on_drop(true).output()).await.unwrap()
}

impl Program {
    pub fn spawn(mut command: Command) -> Self {
        command.env("NO_COLOR", "1").stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let printed = lines(process.stdout.take().unwrap());
        let log = lines(process.stderr.take().unwrap());
        Self { process, printed, log }
    }

    /// The rest of the next printed line, which must begin with `start`.
    pub async fn line_after(&mut self, start: &str) -> String {
        let line = bounded(start, self.printed.recv()).await;
        let line = line.unwrap_or_else(|| panic!("it ended without {start:?}"));
        line.strip_prefix(start).unwrap_or_else(|| panic!("{start:?} does not begin {line:?}")).to_owned()
    }

    /// The next printed line that begins with `start`.
    pub async fn wait_for_line(&mut self, start: &str) -> String {
        let search = async {
            while let Some(line) = self.printed.recv().await {
                if line.starts_with(start) {
                    return line;
                }
            }
            panic!("it ended without {start:?}");
        };
        bounded(start, search).await
    }

    /// The next line of the log that contains `text`.
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

    /// The rest of the log, once it has ended.
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

    /// Sends a signal by its name, such as `TERM`.
    #[cfg(unix)]
    pub async fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.process.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    }

    /// Waits for the exit and returns its code.
    pub async fn exit_code(&mut self) -> Option<i32> {
        bounded("exit", self.process.wait()).await.unwrap().code()
    }
}

/// A running program that has printed `listening on`, and its address.
pub struct ServerProgram {
    pub program: Program,
    pub address: SocketAddr,
}

impl ServerProgram {
    pub async fn spawn(command: Command) -> Self {
        let mut program = Program::spawn(command);
        let address = program.line_after("listening on ").await.parse().unwrap();
        Self { program, address }
    }

    pub async fn connect(&self) -> TcpStream {
        bounded("connect", TcpStream::connect(self.address)).await.unwrap()
    }

    pub async fn wire(&self) -> Wire {
        Wire::new(self.connect().await)
    }
}

/// The lines of an output, read at once so that the process never waits for its reader.
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
