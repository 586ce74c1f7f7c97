//! The rows of the state table.

use std::sync::Arc;

use super::{
    super::{
        CloseCode, CloseFrame, ClosePolicy, Framing, Side, TunnelConfig, close_policy::Notice,
        frames::Boundary, summary::Told,
    },
    FrameRelay, Mode, Pinged,
};

const TAG: [u8; 8] = *b"12345678";

fn relay(config: TunnelConfig) -> FrameRelay {
    FrameRelay::new(Side::Upstream, Arc::new(config))
}

fn strict() -> FrameRelay {
    relay(TunnelConfig::new().framing(Framing::Strict))
}

fn close() -> Notice {
    Notice::Close(CloseFrame::new(CloseCode::GOING_AWAY))
}

/// Bytes that are written for a chunk.
fn written(relay: &mut FrameRelay, chunk: &[u8]) -> Vec<u8> {
    relay.relay(chunk).map_or_else(|| chunk.to_vec(), |rewritten| rewritten.bytes)
}

/// Checks the columns of the table for a relay whose writer is at a boundary.
fn check_mode(mut relay: FrameRelay, mode: Mode) {
    assert_eq!(relay.mode, mode);
    let (relays, pings, closes) = match mode {
        Mode::Relay => (true, true, true),
        Mode::PassThrough => (true, false, false),
        Mode::Rejected => (false, false, true),
        Mode::Closed => (false, false, false),
    };
    assert_eq!((relay.passes_through(), relay.discards()), (mode == Mode::PassThrough, !relays));
    assert_eq!(written(&mut relay, b"\x81\x01x") == b"\x81\x01x", relays);
    assert_eq!(relay.inject_ping(TAG), if pings { Pinged::Queued } else { Pinged::Impossible });
    assert_eq!(relay.inject_notice(&close(), Boundary::Frame), closes);
    assert_eq!(relay.take_injected().map(|frame| frame.as_bytes()[0]), closes.then_some(0x88));
    let after = if closes { Mode::Closed } else { mode };
    assert_eq!(relay.mode, after);
}

#[test]
fn a_relay_begins_by_relaying() {
    check_mode(relay(TunnelConfig::new()), Mode::Relay);
}

#[test]
fn relayed_invalid_framing_leads_to_pass_through() {
    let mut invalid = relay(TunnelConfig::new());
    assert_eq!(written(&mut invalid, b"\x81\x01xGET"), b"\x81\x01xGET");
    assert_eq!((invalid.invalid_framing(), invalid.is_flushed()), (Some("reserved opcode"), false));
    check_mode(invalid, Mode::PassThrough);
}

#[test]
fn the_end_of_the_reader_does_not_end_pass_through() {
    let mut invalid = relay(TunnelConfig::new());
    written(&mut invalid, b"GET");
    assert_eq!(invalid.finish(true), b"");
    assert!(!invalid.is_flushed());
    check_mode(invalid, Mode::PassThrough);
}

#[test]
fn pass_through_of_the_other_direction_releases_withheld_bytes() {
    let mut other = relay(TunnelConfig::new().max_frame_size(1));
    assert_eq!(written(&mut other, b"\x81"), b"");
    assert_eq!(other.pass_through().as_bytes(), b"\x81");
    assert_eq!(other.invalid_framing(), None);
    check_mode(other, Mode::PassThrough);
}

#[test]
fn a_rejected_frame_is_not_written() {
    let mut too_big = relay(TunnelConfig::new().max_frame_size(1));
    assert_eq!(written(&mut too_big, b"\x81\x01x\x81\x02xy\x81\x01x"), b"\x81\x01x");
    check_mode(too_big, Mode::Rejected);
    let mut invalid = strict();
    assert_eq!(written(&mut invalid, b"\x81\x01xGET"), b"\x81\x01x");
    assert_eq!(invalid.invalid_framing(), None);
    check_mode(invalid, Mode::Rejected);
}

#[test]
fn a_long_control_frame_that_is_rejected_in_parts_is_the_last_one_written() {
    // Masked, though from an upstream.
    let (ping, masked_close) =
        ([b"\x89\x89", &[b'x'; 13][..]].concat(), [b"\x88\x89", &[b'x'; 13][..]].concat());
    for (frame, mode) in [(ping, Mode::Rejected), (masked_close, Mode::Closed)] {
        let mut relay = strict();
        for part in frame.chunks(12) {
            assert_eq!(written(&mut relay, part), part);
        }
        check_mode(relay, mode);
    }
}

#[test]
fn the_end_of_the_reader_within_a_frame_closes() {
    for (config, withheld) in
        [(TunnelConfig::new(), &b""[..]), (TunnelConfig::new().max_frame_size(9), b"\x81")]
    {
        let mut relay = relay(config);
        written(&mut relay, b"\x81");
        assert_eq!(relay.finish(true), withheld);
        check_mode(relay, Mode::Closed);
    }
}

#[test]
fn the_end_of_the_reader_at_a_boundary_injects_the_close_of_the_policy() {
    let policy = ClosePolicy::from_fn(|_, _| Some(CloseFrame::new(CloseCode::BAD_GATEWAY)));
    for (other_is_open, code) in [(true, Some([0x03, 0xf6])), (false, None)] {
        let mut relay = relay(TunnelConfig::new().close_policy(policy.clone()));
        assert_eq!(relay.finish(other_is_open), b"");
        assert_eq!(relay.take_injected().map(|close| [close.as_bytes()[2], close.as_bytes()[3]]), code);
        check_mode(relay, if other_is_open { Mode::Closed } else { Mode::Relay });
    }
}

#[test]
fn an_injected_close_is_inserted_after_the_current_frame() {
    let mut relay = relay(TunnelConfig::new());
    written(&mut relay, b"\x81\x02x");
    assert!(relay.inject_notice(&close(), Boundary::Frame) && relay.take_injected().is_none());
    let rewritten = relay.relay(b"y\x81\x01x\x81").unwrap();
    assert_eq!((rewritten.bytes, rewritten.injected), (b"y\x81\x01x\x88\x02\x03\xe9".to_vec(), 4..8));
    check_mode(relay, Mode::Closed);
}

#[test]
fn a_close_of_the_reader_is_relayed_and_nothing_is_injected_after_it() {
    let mut relay = relay(TunnelConfig::new());
    written(&mut relay, b"\x81\x02x");
    assert!(relay.inject_notice(&close(), Boundary::Frame));
    assert_eq!(written(&mut relay, b"y\x88\x00"), b"y\x88\x00");
    assert_eq!((relay.mode, relay.close_code(), relay.is_flushed()), (Mode::Relay, Some(1005), true));
    assert_eq!(
        (relay.inject_notice(&close(), Boundary::Frame), relay.inject_ping(TAG)),
        (false, Pinged::Impossible)
    );
}

#[test]
fn a_notice_waits_for_the_end_of_the_message() {
    for (notice, bytes, told) in [
        (close(), &b"\x88\x02\x03\xe9"[..], Told::Close(1001)),
        (Notice::EndOfStream, b"", Told::EndOfStream),
    ] {
        let mut relay = relay(TunnelConfig::new());
        written(&mut relay, b"\x01\x01x");
        assert!(relay.inject_notice(&notice, Boundary::Message) && relay.take_injected().is_none());
        assert_eq!(written(&mut relay, b"\x00\x01x"), b"\x00\x01x");
        assert!(!relay.is_between_messages() && !relay.is_flushed());
        assert_eq!(written(&mut relay, b"\x80\x01x\x01\x01x"), [b"\x80\x01x", bytes].concat());
        assert_eq!((relay.told(), relay.is_between_messages(), relay.is_flushed()), (Some(told), true, true));
        check_mode(relay, Mode::Closed);
    }
}

#[test]
fn a_notice_does_not_wait_for_a_message_whose_rest_will_not_arrive() {
    let mut ended = relay(TunnelConfig::new());
    written(&mut ended, b"\x01\x01x");
    assert!(ended.inject_notice(&close(), Boundary::Message) && ended.take_injected().is_none());
    assert_eq!(ended.finish(true), b"");
    assert_eq!(
        ended.take_injected().map(|frame| frame.as_bytes().to_vec()),
        Some(b"\x88\x02\x03\xe9".to_vec())
    );
}

#[test]
fn an_answer_to_a_close_of_the_proxy_is_not_relayed() {
    for (notice, written_for_answer, told) in [
        (None, &b""[..], Told::EndOfStream),
        (Some(Notice::EndOfStream), b"", Told::EndOfStream),
        (Some(close()), b"\x88\x02\x03\xe9", Told::Close(1001)),
    ] {
        let mut relay = relay(TunnelConfig::new());
        written(&mut relay, b"\x01\x01x");
        if let Some(notice) = &notice {
            assert!(relay.inject_notice(notice, Boundary::Message) && relay.take_injected().is_none());
        }
        relay.expect_answer();
        let answered = written(&mut relay, b"\x00\x01x\x88\x02\x03\xe8\x81\x01x");
        assert_eq!(answered, [b"\x00\x01x", written_for_answer].concat());
        assert_eq!((relay.close_code(), relay.told()), (Some(1000), Some(told)));
        check_mode(relay, Mode::Closed);
    }
}

#[test]
fn what_the_side_was_told() {
    let table: [(&[u8], Option<Told>); 5] = [
        (b"\x81\x01x", Some(Told::EndOfStream)),
        (b"\x01\x01x", Some(Told::Aborted)),
        (b"\x81\x02x", Some(Told::Aborted)),
        (b"\x88\x02\x03\xe8", Some(Told::RelayedClose(1000))),
        (b"\x88\x00", Some(Told::RelayedClose(1005))),
    ];
    for (stream, told) in table {
        let mut relay = relay(TunnelConfig::new());
        written(&mut relay, stream);
        assert_eq!(relay.told(), told, "{stream:?}");
        relay.stop_writing();
        assert_eq!(relay.told(), told, "{stream:?}");
    }
}

#[test]
fn stop_writing_closes_in_every_mode() {
    for chunk in [&b"\x81\x01x"[..], b"GET"] {
        for mut relay in [relay(TunnelConfig::new()), strict()] {
            written(&mut relay, chunk);
            relay.stop_writing();
            check_mode(relay, Mode::Closed);
        }
    }
}
