//! The application with the layer as a process.

use std::time::Duration;

use tempfile::TempDir;

use super::{Exit, Ports, crowd_address, port_of, read_log};
use crate::{
    Result,
    process::{Log, Process},
};

/// Running application. Its only upstream is that of the crowd, over HTTP/2.
pub(crate) struct Application {
    process: Process,
    pub(crate) port: u16,
    folder: TempDir,
}

impl Application {
    /// Starts the application. It drains with this grace.
    pub(crate) async fn start(ports: Ports, grace: Duration) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let upstream = format!("http://{}", crowd_address(0, ports));
        let arguments = ["application".to_owned(), upstream, grace.as_millis().to_string()];
        let log = folder.path().join("log");
        let mut process = Process::spawn(&std::env::current_exe()?, &arguments, &Log::File(&log))?;
        let port = port_of(&process.line_after("listening on ").await?)?;
        Ok(Self { process, port, folder })
    }

    /// Sends SIGTERM, and waits for the exit for at most `limit`.
    pub(crate) async fn terminate(self, limit: Duration) -> Result<Exit> {
        let end = self.process.terminate(limit).await?;
        Ok(Exit { end, log: read_log(&self.folder.path().join("log")) })
    }
}
