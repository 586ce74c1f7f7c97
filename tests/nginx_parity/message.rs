//! HTTP/1 messages, read without assuming that they are valid, unlike those of `Wire`.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// A request or a response as received, in Latin-1.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) first: String,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) end: End,
}

/// End of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    AsAnnounced,
    WithTheConnection,
    /// The connection ended before the body did.
    CutShort,
}

impl Message {
    /// The next head, if there is one.
    pub(crate) async fn read_head(io: &mut (impl AsyncBufRead + Unpin)) -> Option<Self> {
        let first = read_line(io).await?;
        let fields = read_fields(io).await?;
        Some(Self { fields, ..Self::of(first) })
    }

    /// A message of one line.
    pub(crate) fn of(first: String) -> Self {
        Self { first, fields: Vec::new(), body: Vec::new(), trailers: Vec::new(), end: End::AsAnnounced }
    }

    /// Reads the body of a request.
    pub(crate) async fn read_request_body(&mut self, io: &mut (impl AsyncBufRead + Unpin)) {
        self.end = if self.is("transfer-encoding", "chunked") {
            self.read_chunks(io).await
        } else {
            self.read_length(io, self.length().unwrap_or(0)).await
        };
    }

    /// Reads the body of a response, which has none if it is one `to_head`.
    pub(crate) async fn read_response_body(&mut self, io: &mut (impl AsyncBufRead + Unpin), to_head: bool) {
        let status = self.status();
        if to_head || status < 200 || status == 204 || status == 304 {
            return;
        }
        self.end = if self.is("transfer-encoding", "chunked") {
            self.read_chunks(io).await
        } else if let Some(length) = self.length() {
            self.read_length(io, length).await
        } else {
            // A reset is an end too.
            let _ = io.read_to_end(&mut self.body).await;
            End::WithTheConnection
        };
    }

    /// 0 when there is none.
    pub(crate) fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn is(&self, name: &str, value: &str) -> bool {
        self.fields.iter().any(|(field, have)| field == name && have.eq_ignore_ascii_case(value))
    }

    /// The elements of `Connection`, in lower case.
    pub(crate) fn connection(&self) -> Vec<String> {
        let lines = self.fields.iter().filter(|(name, _)| name == "connection");
        let tokens = lines.flat_map(|(_, value)| value.split(',')).map(|token| token.trim().to_lowercase());
        tokens.filter(|token| !token.is_empty()).collect()
    }

    fn length(&self) -> Option<usize> {
        let (_, length) = self.fields.iter().find(|(name, _)| name == "content-length")?;
        length.parse().ok()
    }

    async fn read_length(&mut self, io: &mut (impl AsyncBufRead + Unpin), length: usize) -> End {
        let wanted = self.body.len() + length;
        let _ = io.take(length as u64).read_to_end(&mut self.body).await;
        if self.body.len() == wanted { End::AsAnnounced } else { End::CutShort }
    }

    async fn read_chunks(&mut self, io: &mut (impl AsyncBufRead + Unpin)) -> End {
        loop {
            let size = read_line(io).await.and_then(|line| usize::from_str_radix(line.trim(), 16).ok());
            match size {
                None => return End::CutShort,
                Some(0) => break,
                Some(size) if self.read_length(io, size).await == End::CutShort => return End::CutShort,
                Some(_) => drop(read_line(io).await),
            }
        }
        match read_fields(io).await {
            Some(trailers) => self.trailers = trailers,
            None => return End::CutShort,
        }
        End::AsAnnounced
    }
}

/// The fields up to the empty line.
async fn read_fields(io: &mut (impl AsyncBufRead + Unpin)) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = read_line(io).await?;
        if line.is_empty() {
            return Some(fields);
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, "(no colon)"));
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// A line without its end; none when the connection ends first.
async fn read_line(io: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut line = Vec::new();
    match io.read_until(b'\n', &mut line).await {
        Ok(_) if line.ends_with(b"\n") => {}
        _ => return None,
    }
    let text = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(&line);
    Some(text.iter().map(|byte| char::from(*byte)).collect())
}
