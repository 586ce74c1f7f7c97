//! Strict decoder of complete streams.

use tower_upgrade_proxy::Side;

use super::super::peer::{CLOSE, Frame};

/// Contents of a stream.
pub(crate) struct Decoded {
    pub(crate) frames: Vec<Frame>,
    /// The beginning of an unfinished frame.
    pub(crate) rest: Vec<u8>,
}

pub(crate) fn decode(from: Side, stream: &[u8]) -> Result<Decoded, String> {
    let (mut frames, mut at, mut within) = (Vec::new(), 0, false);
    while let Some((frame, size)) = first_of(from, &stream[at..])? {
        let opcode = frame.first & 15;
        if frame.first & 0x70 != 0 {
            return Err(format!("reserved bits at {at}"));
        }
        match opcode {
            0 if !within => return Err(format!("nothing to continue at {at}")),
            1 | 2 if within => return Err(format!("a message within another at {at}")),
            0..=2 => within = frame.first & 0x80 == 0,
            8..=10 if frame.first & 0x80 == 0 || frame.payload.len() > 125 => {
                return Err(format!("invalid control frame at {at}"));
            }
            8..=10 => {}
            _ => return Err(format!("opcode {opcode} at {at}")),
        }
        at += size;
        let is_close = frame.first == CLOSE;
        frames.push(frame);
        if is_close && at < stream.len() {
            return Err(format!("{} bytes after a Close", stream.len() - at));
        }
    }
    Ok(Decoded { frames, rest: stream[at..].to_vec() })
}

/// The first frame and its size; `None` if it is incomplete.
pub(crate) fn first_of(from: Side, stream: &[u8]) -> Result<Option<(Frame, usize)>, String> {
    let [first, second, tail @ ..] = stream else { return Ok(None) };
    if (second & 128 != 0) != (from == Side::Client) {
        return Err("masked by the wrong side".to_owned());
    }
    let digits = [0, 2, 8][usize::from(second & 127).saturating_sub(125).min(2)];
    let Some((length, tail)) = tail.split_at_checked(digits) else { return Ok(None) };
    let length = match length {
        [] => usize::from(second & 127),
        _ => length.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)),
    };
    let Some((key, tail)) = tail.split_at_checked(if from == Side::Client { 4 } else { 0 }) else {
        return Ok(None);
    };
    let Some(masked) = tail.get(..length) else { return Ok(None) };
    let unmask = |(at, byte): (usize, &u8)| byte ^ key.get(at % 4).unwrap_or(&0);
    let payload = masked.iter().enumerate().map(unmask).collect();
    Ok(Some((Frame { first: *first, payload }, 2 + digits + key.len() + length)))
}
