//! Clients and servers in other languages, as processes.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::support::bounded;

#[derive(Clone, Copy)]
pub(crate) enum Language {
    Python,
    Node,
}

/// A running script; killed when dropped.
pub(crate) struct Script {
    port: u16,
    _process: Child,
}

/// The folder of this test, with the scripts and what `install.sh` put beside them.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Whether there is a program of that name on the search path.
pub(crate) fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

impl Language {
    pub(crate) const ALL: [Self; 2] = [Self::Python, Self::Node];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Python => Self::Node,
            Self::Node => Self::Python,
        }
    }

    /// What must be installed before its scripts can run.
    pub(crate) fn missing(self) -> Option<String> {
        let (present, what) = match self {
            Self::Python => (folder().join("venv/bin/websockets").is_file(), "Python's websockets"),
            Self::Node => {
                (is_program("node") && folder().join("node_modules/ws/package.json").is_file(), "Node's ws")
            }
        };
        (!present).then(|| format!("{what} is missing; tests/clients/install.sh installs it"))
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

    /// Runs the client to its end, which must be a good one.
    pub(crate) async fn run_client(self, scenario: &'static str, url: String) {
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
    pub(crate) async fn server(language: Language) -> Self {
        let mut process = language.command("server").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = bounded("the server's port", lines.next_line()).await.unwrap().unwrap();
        Self { port: line.parse().unwrap(), _process: process }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }
}
