//! The thread that writes log lines.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

/// Maximum number of bytes that wait for the thread.
const CAPACITY: usize = 1 << 20;

/// Interval of the reports.
const INTERVAL: Duration = Duration::from_secs(1);

/// Maximum wait for the last lines when the process exits.
const EXIT_TIME: Duration = Duration::from_millis(500);

/// Queue of lines for the thread. Writing to it never blocks.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    sender: Sender<Message>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Replied to when all lines before it are written.
    Flush(SyncSender<()>),
}

#[derive(Debug, Default)]
struct Counts {
    /// Bytes in the queue.
    queued: AtomicUsize,
    /// Lines that found the queue full, since the last report.
    lost: AtomicU64,
}

impl Writer {
    /// Starts the thread. It calls `report` once a second, and before it replies to a flush, with the number of lines lost
    /// since the last call.
    pub(super) fn start(
        output: impl io::Write + Send + 'static,
        report: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let counts = Arc::<Counts>::default();
        let writer = Self { sender, counts: Arc::clone(&counts) };
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || run(&receiver, &counts, output, report))?;
        Ok(writer)
    }

    /// Waits until the queue is written, but not for an output that takes nothing.
    pub(super) fn flush_at_exit(&self) {
        let (done, flushed) = mpsc::sync_channel(1);
        if self.sender.send(Message::Flush(done)).is_ok() {
            let _ = flushed.recv_timeout(EXIT_TIME);
        }
    }
}

/// Writes lines, until all [`Writer`]s are dropped.
fn run(receiver: &Receiver<Message>, counts: &Counts, mut output: impl io::Write, report: impl Fn(u64)) {
    let mut next = Instant::now() + INTERVAL;
    loop {
        match receiver.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Message::Line(line)) => {
                // An output that is closed loses lines; there is nowhere to report it.
                let _ = output.write_all(&line);
                counts.queued.fetch_sub(line.len(), Ordering::Relaxed);
            }
            Ok(Message::Flush(done)) => {
                report(counts.lost.swap(0, Ordering::Relaxed));
                let _ = done.try_send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if Instant::now() >= next {
            report(counts.lost.swap(0, Ordering::Relaxed));
            next = Instant::now() + INTERVAL;
        }
    }
}

impl io::Write for &Writer {
    /// Takes a whole line, which `tracing-subscriber` writes at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let queued = self.counts.queued.fetch_add(line.len(), Ordering::Relaxed);
        let is_full = queued + line.len() > CAPACITY;
        if is_full || self.sender.send(Message::Line(line.to_vec())).is_err() {
            self.counts.queued.fetch_sub(line.len(), Ordering::Relaxed);
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Mutex, MutexGuard},
    };

    use super::*;

    /// Output that takes nothing while its lock is held.
    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Output {
        fn block(&self) -> MutexGuard<'_, Vec<u8>> {
            self.0.lock().unwrap()
        }
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.block().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_output_loses_lines_which_are_counted() {
        let output = Output::default();
        let (reports, reported) = mpsc::channel();
        let writer = Writer::start(output.clone(), move |lost| reports.send(lost).unwrap()).unwrap();
        let blocked = output.block();
        let line = [b'x'; 1024];
        let sent = 2 * CAPACITY / line.len();
        for _ in 0..sent {
            assert_eq!((&writer).write(&line).unwrap(), line.len());
        }
        let start = Instant::now();
        writer.flush_at_exit();
        assert!((EXIT_TIME..10 * EXIT_TIME).contains(&start.elapsed()));
        drop(blocked);
        let lost = reported.iter().find(|lost| *lost > 0).unwrap();
        assert_eq!(usize::try_from(lost).unwrap(), sent - CAPACITY / line.len());
        writer.flush_at_exit();
        assert_eq!(output.block().len(), CAPACITY);
        assert_eq!(writer.counts.queued.load(Ordering::Relaxed), 0);
    }
}
