//! Bodies as streams of the `h2` crate.

use std::future::poll_fn;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::HeaderMap;

use crate::support::bounded;

/// Sends as the window allows.
pub(crate) async fn send(stream: &mut SendStream<Bytes>, bytes: &[u8]) {
    let mut bytes = Bytes::copy_from_slice(bytes);
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        while stream.capacity() == 0 {
            bounded("the window", poll_fn(|cx| stream.poll_capacity(cx))).await.unwrap().unwrap();
        }
        let piece = bytes.split_to(stream.capacity().min(bytes.len()));
        stream.send_data(piece, false).unwrap();
    }
}

/// `END_STREAM`.
pub(crate) fn finish(stream: &mut SendStream<Bytes>) {
    stream.send_data(Bytes::new(), true).unwrap();
}

pub(crate) async fn expect(stream: &mut RecvStream, expected: &str) {
    let mut read = Vec::new();
    while read.len() < expected.len() {
        let data = bounded("data", stream.data()).await.expect("the end came too early").unwrap();
        stream.flow_control().release_capacity(data.len()).unwrap();
        read.extend(data);
    }
    assert_eq!(String::from_utf8_lossy(&read), expected);
}

/// What is still to come, and the trailers.
pub(crate) async fn rest(stream: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = bounded("data", stream.data()).await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        bytes.extend(data);
    }
    Ok((bytes, bounded("trailers", stream.trailers()).await?))
}
