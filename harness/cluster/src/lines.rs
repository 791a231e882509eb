//! Lines of an answer that comes bit by bit: watch events and logs.
//!
//! Invariant: no byte is lost if a read is cancelled; text that isn't UTF-8 is the reader's business.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use kube::client::Body;

/// A body cut into lines.
pub(crate) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// Up to here the buffer has no line feed.
    searched: usize,
    ended: bool,
}

impl Lines {
    pub(crate) fn new(body: Body) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            searched: 0,
            ended: false,
        }
    }

    /// The next line without its line feed, also the last one without one; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, kube::Error> {
        loop {
            if let Some(at) = self.buffer[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let mut line = self.buffer.split_to(self.searched + at + 1);
                line.truncate(line.len() - 1);
                self.searched = 0;
                return Ok(Some(line.freeze()));
            }
            self.searched = self.buffer.len();
            if self.ended {
                let rest = self.buffer.split().freeze();
                self.searched = 0;
                return Ok((!rest.is_empty()).then_some(rest));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(error),
                None => self.ended = true,
            }
        }
    }

    /// As [`Lines::next`], `Err(None)` if nothing comes for so long.
    pub(crate) async fn next_within(
        &mut self,
        limit: Duration,
    ) -> Result<Option<Bytes>, Option<kube::Error>> {
        match tokio::time::timeout(limit, self.next()).await {
            Ok(result) => result.map_err(Some),
            Err(_) => Err(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_at_line_feeds_and_the_last_may_lack_one() {
        let mut lines = Lines::new(Body::from(b"a\n\nb\xff\nlast".to_vec()));
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            seen.push(line.to_vec());
        }
        assert_eq!(seen, [&b"a"[..], b"", b"b\xff", b"last"]);
    }
}
