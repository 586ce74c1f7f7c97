//! Clients and servers in other languages, as processes.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::wire::bounded;

#[derive(Clone, Copy)]
pub enum Language {
    Python,
    Node,
}

/// A running script; killed when dropped.
pub struct Script {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// The folder of the scripts and of their dependencies, which `install.sh` installs.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients")
}

/// Returns true if the search path has a program of that name.
pub fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn is_module(name: &str) -> bool {
    is_program("node") && folder().join("node_modules").join(name).join("package.json").is_file()
}

fn not_installed(what: &str) -> String {
    format!("{what} is missing; tests/clients/install.sh installs it")
}

/// Message about the missing parts of Socket.IO, if it is not installed.
pub fn missing_socketio() -> Option<String> {
    let present = is_module("socket.io") && is_module("socket.io-client");
    (!present).then(|| not_installed("Node's socket.io"))
}

/// Message about the missing ones of the Node clients that reconnect.
pub fn missing_reconnecting_clients() -> Option<String> {
    let clients = [
        "@microsoft/signalr",
        "centrifuge",
        "graphql",
        "graphql-ws",
        "partysocket",
        "phoenix",
        "reconnecting-websocket",
        "rxjs",
        "sockette",
    ];
    let missing: Vec<_> = clients.into_iter().filter(|client| !is_module(client)).collect();
    missing_socketio().or_else(|| (!missing.is_empty()).then(|| not_installed(&missing.join(", "))))
}

/// Message about Hypercorn, if it is not installed.
pub fn missing_hypercorn() -> Option<String> {
    let present = folder().join("venv/bin/hypercorn").is_file();
    (!present).then(|| not_installed("Python's Hypercorn"))
}

impl Language {
    pub const ALL: [Self; 2] = [Self::Python, Self::Node];

    pub fn other(self) -> Self {
        match self {
            Self::Python => Self::Node,
            Self::Node => Self::Python,
        }
    }

    /// Message about the missing parts for scripts in this language, if they are not installed.
    pub fn missing(self) -> Option<String> {
        let (present, what) = match self {
            Self::Python => (folder().join("venv/bin/websockets").is_file(), "Python's websockets"),
            Self::Node => (is_module("ws"), "Node's ws"),
        };
        (!present).then(|| not_installed(what))
    }

    fn command(self, script: &str) -> Command {
        let (interpreter, extension) = match self {
            Self::Python => (folder().join("venv/bin/python"), "py"),
            Self::Node => ("node".into(), "js"),
        };
        let mut command = Command::new(interpreter);
        command.arg(folder().join(script).with_extension(extension)).kill_on_drop(true);
        command
    }

    /// Runs the client until it exits, which must be with success.
    pub async fn run_client(self, scenario: &'static str, url: String) {
        let mut command = self.command("client");
        let run = command.args([scenario, &url]).output();
        let output = bounded("the client", run).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Python => "python",
            Self::Node => "node",
        })
    }
}

impl Script {
    /// Starts a script. Its errors go to the test's output.
    pub fn start(language: Language, script: &str, arguments: &[&str]) -> Self {
        let mut command = language.command(script);
        // See with_parent.js.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.args(arguments).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// Starts a server; the first line it prints is its port on the loopback interface.
    pub async fn server(language: Language, script: &str, arguments: &[&str]) -> (Self, SocketAddr) {
        let mut server = Self::start(language, script, arguments);
        let port = server.line().await.parse().unwrap();
        (server, SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// The next printed line.
    pub async fn line(&mut self) -> String {
        bounded("a line", self.next_line()).await
    }

    /// The next printed line, after any time. Cancel safe.
    pub async fn next_line(&mut self) -> String {
        self.lines.next_line().await.unwrap().expect("it ended")
    }

    /// Kills the process and waits for its end.
    pub async fn kill(mut self) {
        bounded("its end", self.process.kill()).await.unwrap();
    }

    /// Waits until the script exits, which must be with success.
    pub async fn succeeds(mut self) {
        let status = bounded("its end", self.process.wait()).await.unwrap();
        assert!(status.success(), "{status}");
    }
}
