//! [`Turn`]: a bound on the bytes that one poll of a connection reads.
//!
//! h2 reads and processes frames until the socket has no more bytes. An upstream that sends small frames
//! without end, such as interim responses, would keep the thread from its other tasks, and those of one
//! stream would be queued without limit before the task of that stream runs. After as many bytes as a turn
//! has, the connection is therefore polled again behind the other tasks.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use crate::io::bounded::ReadBound;

/// Bytes of a turn. In frames of one byte these are some 2 MiB in h2's queues, until their streams are polled.
const TURN: usize = 32 * 1024;

/// The bytes that are left of the turn of a connection, shared by its IO and its task.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn(Arc<AtomicUsize>);

impl Turn {
    /// Begins a turn, before the connection is polled.
    pub(super) fn begin(&self) {
        self.0.store(TURN, Ordering::Relaxed);
    }
}

impl ReadBound for Turn {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self.0.load(Ordering::Relaxed) {
            0 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            left => Poll::Ready(Ok(left)),
        }
    }

    fn on_read(&mut self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::Pin};

    use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, duplex};

    use super::*;
    use crate::io::{bounded::Bounded, transport::Transport};

    #[tokio::test]
    async fn a_poll_reads_the_bytes_of_a_turn_and_the_next_one_follows() {
        let (mut upstream, connection) = duplex(2 * TURN);
        upstream.write_all(&[0; 2 * TURN]).await.unwrap();
        let turn = Turn::default();
        let io = hyper_util::rt::TokioIo::new(connection);
        let mut io = Bounded::new(Transport::from_hyper(io), turn.clone());
        let mut polls = 0;
        let mut read = 0;
        while read < 2 * TURN {
            polls += 1;
            let before = read;
            let mut is_first = true;
            poll_fn(|cx| {
                if !std::mem::take(&mut is_first) {
                    return Poll::Ready(());
                }
                turn.begin();
                let mut bytes = vec![0; 10_000];
                loop {
                    let mut buf = ReadBuf::new(&mut bytes);
                    match Pin::new(&mut io).poll_read(cx, &mut buf) {
                        Poll::Ready(result) => result.unwrap(),
                        Poll::Pending => return Poll::Pending,
                    }
                    read += buf.filled().len();
                }
            })
            .await;
            assert_eq!(read - before, TURN);
        }
        assert_eq!(polls, 2);
    }
}
