//! Live tunnels, whose round-trip times are measured on a thread of their own.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    runtime,
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{
    Reader,
    http1::{self, Opened},
};
use crate::{
    Result,
    figures::Latencies,
    proxy::LIVE,
    websocket::{BINARY, ECHO, Received, from_client},
};

/// Number of tunnels.
const TUNNELS: usize = 8;

/// Pause between two messages of a tunnel.
const PAUSE: Duration = Duration::from_millis(10);

/// Live tunnels through a proxy. They end on drop.
pub(crate) struct Probe {
    samples: Arc<Mutex<Samples>>,
    _stop: oneshot::Sender<()>,
}

#[derive(Default)]
struct Samples {
    times: Vec<Duration>,
    /// Start of the exchange in progress of each tunnel.
    pending: [Option<Instant>; TUNNELS],
    failure: Option<String>,
}

impl Samples {
    fn complete(&mut self, tunnel: usize, start: Instant) {
        self.pending[tunnel] = None;
        self.times.push(start.elapsed());
    }
}

impl Probe {
    /// Opens the tunnels through the proxy on this port, and waits for their first messages.
    pub(crate) async fn start(port: u16) -> Result<Self> {
        let samples = Arc::<Mutex<Samples>>::default();
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&samples);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("probe".to_owned()).spawn(move || {
            runtime.block_on(async {
                for tunnel in 0..TUNNELS {
                    let shared = Arc::clone(&shared);
                    tokio::spawn(async move {
                        if let Err(error) = exchange(port, tunnel, &shared).await {
                            lock(&shared).failure = Some(error.to_string());
                        }
                    });
                }
                let _ = stopped.await;
            });
        })?;
        let probe = Self { samples, _stop: stop };
        let start = Instant::now();
        while lock(&probe.samples).times.len() < 2 * TUNNELS {
            if start.elapsed() > Duration::from_secs(10) {
                return Err("the live tunnels do not open".into());
            }
            sleep(PAUSE).await;
        }
        probe.take()?;
        Ok(probe)
    }

    /// Round-trip times since the last call. Messages without an answer count with the time that they have waited.
    pub(crate) fn take(&self) -> Result<Latencies> {
        let mut samples = lock(&self.samples);
        if let Some(failure) = samples.failure.take() {
            return Err(format!("a live tunnel failed: {failure}").into());
        }
        let mut times = std::mem::take(&mut samples.times);
        times.extend(samples.pending.iter().flatten().map(Instant::elapsed));
        Ok(Latencies::new(times))
    }

    /// Round-trip times during the given time.
    pub(crate) async fn during(&self, time: Duration) -> Result<Latencies> {
        self.take()?;
        sleep(time).await;
        self.take()
    }
}

fn lock(samples: &Mutex<Samples>) -> std::sync::MutexGuard<'_, Samples> {
    samples.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends messages, and measures the time until each comes back.
async fn exchange(port: u16, tunnel: usize, samples: &Mutex<Samples>) -> io::Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let (mut socket, mut received): (TcpStream, Received) =
        match http1::open(address, LIVE, Reader::Reads).await? {
            Opened::Tunnel(socket, received) => (socket, received),
            Opened::Refused(status) => return Err(io::Error::other(format!("refused with {status}"))),
        };
    let message = from_client(BINARY, ECHO);
    loop {
        let start = Instant::now();
        lock(samples).pending[tunnel] = Some(start);
        socket.write_all(&message).await?;
        while received.take_frame().is_none() {
            if !received.read(&socket).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        lock(samples).complete(tunnel, start);
        sleep(PAUSE).await;
    }
}
