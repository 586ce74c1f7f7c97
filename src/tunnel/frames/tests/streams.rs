//! Strategies for streams of random frames and for their division into chunks.

use proptest::{collection::vec, option, prelude::*, sample::Index};

use super::super::Mask;

/// Sender of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sender {
    /// All frames are masked.
    Client,
    /// No frame is masked.
    Server,
    /// Some frames are masked, reserved bits are set, and lengths are encoded longer than necessary.
    Odd,
}

#[derive(Clone, Debug)]
struct Wire {
    rsv: u8,
    key: [u8; 4],
    is_masked: bool,
    /// Minimum size of the extended length: 0, 2 or 8 bytes.
    digits: usize,
}

/// Opcode and payload.
type Control = (u8, Vec<u8>, Wire);

/// A frame of a message and the control frame before it, if any.
type Fragment = (Vec<u8>, Wire, Option<Control>);

#[derive(Clone, Debug)]
enum Item {
    Control(Control),
    /// Opcode and frames.
    Message(u8, Vec<Fragment>),
}

fn wire() -> impl Strategy<Value = Wire> {
    (0..8_u8, any::<[u8; 4]>(), any::<bool>(), prop_oneof![Just(0_usize), Just(2), Just(8)])
        .prop_map(|(rsv, key, is_masked, digits)| Wire { rsv, key, is_masked, digits })
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let mixed = |most| vec(0..0x80_u8, 0..most);
    prop_oneof![
        8 => mixed(20),
        3 => mixed(200),
        1 => (0..0x80_u8, 200..3000_usize).prop_map(|(byte, length)| vec![byte; length]),
        1 => (0..0x80_u8, 65_500..65_600_usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn control() -> impl Strategy<Value = Control> {
    (9..=10_u8, prop_oneof![4 => vec(any::<u8>(), 0..10), 1 => vec(any::<u8>(), 0..=125)], wire())
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        1 => control().prop_map(Item::Control),
        2 => (1..=2_u8, vec((payload(), wire(), option::weighted(0.3, control())), 1..4))
            .prop_map(|(opcode, fragments)| Item::Message(opcode, fragments)),
    ]
}

fn close() -> impl Strategy<Value = (Vec<u8>, Wire)> {
    let with_code = (1000..=1003_u16, "[a-z]{0,123}")
        .prop_map(|(code, reason)| [&code.to_be_bytes()[..], reason.as_bytes()].concat());
    (prop_oneof![Just(Vec::new()), with_code], wire())
}

/// Complete valid frames. The last one may be a Close.
pub(super) fn valid(sender: Sender) -> impl Strategy<Value = Vec<u8>> {
    (vec(item(), 0..8), option::weighted(0.3, close())).prop_map(move |(items, close)| {
        let mut stream = Vec::new();
        for item in &items {
            match item {
                Item::Control((opcode, payload, wire)) => {
                    write(&mut stream, 0x80 | opcode, payload, wire, sender);
                }
                Item::Message(opcode, fragments) => {
                    for (at, (payload, wire, control)) in fragments.iter().enumerate() {
                        if let Some((opcode, payload, wire)) = control {
                            write(&mut stream, 0x80 | opcode, payload, wire, sender);
                        }
                        let fin = if at + 1 == fragments.len() { 0x80 } else { 0 };
                        write(&mut stream, fin | if at == 0 { *opcode } else { 0 }, payload, wire, sender);
                    }
                }
            }
        }
        if let Some((payload, wire)) = &close {
            write(&mut stream, 0x88, payload, wire, sender);
        }
        stream
    })
}

/// Frames truncated anywhere, possibly with data after a Close or with a changed byte.
pub(super) fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let change = option::of((any::<Index>(), any::<u8>()));
    let odd = (valid(Sender::Odd), valid(Sender::Odd), any::<Index>(), change);
    let frames = odd.prop_map(|(first, second, end, change)| {
        let mut stream = [first, second].concat();
        if let Some((at, byte)) = change.filter(|_| !stream.is_empty()) {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        stream.truncate(end.index(stream.len() + 1));
        stream
    });
    prop_oneof![4 => frames, 1 => vec(any::<u8>(), 0..200)]
}

fn write(stream: &mut Vec<u8>, first: u8, payload: &[u8], wire: &Wire, sender: Sender) {
    let is_odd = sender == Sender::Odd;
    let is_masked = sender == Sender::Client || is_odd && wire.is_masked;
    let bit = if is_masked { 0x80 } else { 0 };
    let needed = match payload.len() {
        0..126 => 0,
        126..65_536 => 2,
        _ => 8,
    };
    let digits = if is_odd && first & 8 == 0 { needed.max(wire.digits) } else { needed };
    stream.push(first | if is_odd { wire.rsv << 4 } else { 0 });
    stream.push(bit | [payload.len().min(125) as u8, 126, 127][digits.min(3).div_ceil(2)]);
    stream.extend(&(payload.len() as u64).to_be_bytes()[8 - digits..]);
    let key = if is_masked { wire.key } else { [0; 4] };
    stream.extend(key.iter().filter(|_| is_masked));
    stream.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Sizes of chunks, repeated in a cycle.
pub(super) fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![vec(1..4_usize, 1..5), vec(1..40_usize, 1..20), vec(1..70_000_usize, 1..5)]
}

/// Mask of a frame inserted into a stream of this sender.
pub(super) fn mask(sender: Sender, key: [u8; 4]) -> Mask {
    if sender == Sender::Client { Mask::Key(key) } else { Mask::None }
}
