//! Pieces of inputs.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    string::bytes_regex,
};

/// One of these, mostly; else any bytes a value may have.
pub(super) fn value(known: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => select(known).prop_map(|value| value.as_bytes().to_vec()),
        1 => bytes_regex("[\\t -~\\x80-\\xff]{0,8}").unwrap(),
    ]
}

/// A list as odd as lists may be: in any case, with white space, empty elements and junk.
pub(super) fn list(known: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let odd = select(&["", " ", "\"x-a\"", "x-a x-b", "\"a, te", "\u{e9}", "=;", "x\\,"][..]);
    let element = prop_oneof![4 => select(known), 1 => odd];
    let space = || select(&["", "", " ", "\t", " \t "][..]);
    let element = (space(), element, space(), any::<bool>()).prop_map(|(before, element, behind, shouts)| {
        let element = if shouts { element.to_ascii_uppercase() } else { element.to_owned() };
        [before, &element, behind].concat()
    });
    vec(element, 0..5).prop_map(|elements| elements.join(",").into_bytes())
}

/// A line of a head.
pub(super) fn line(
    name: &'static str,
    value: impl Strategy<Value = Vec<u8>>,
) -> impl Strategy<Value = Vec<u8>> {
    value.prop_map(move |value| [name.as_bytes(), b": ", &value, b"\n"].concat())
}

/// Lines in any order.
pub(super) fn lines(line: impl Strategy<Value = Vec<u8>>, most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(line, 0..most).prop_map(|lines| lines.concat())
}

/// Lines of which one may be missing, and another may come in between or stand in for those of its name.
pub(super) fn mostly(
    right: &'static [&'static str],
    other: impl Strategy<Value = Vec<u8>>,
) -> impl Strategy<Value = Vec<u8>> {
    let missing = prop::option::weighted(0.2, any::<Index>());
    let others = prop_oneof![1 => Just(Vec::new()), 2 => vec((any::<Index>(), any::<bool>(), other), 0..3)];
    (missing, others).prop_map(|(missing, others)| {
        let mut lines: Vec<Vec<u8>> = right.iter().map(|line| format!("{line}\n").into_bytes()).collect();
        if let Some(missing) = missing {
            lines.remove(missing.index(right.len()));
        }
        for (at, instead, line) in others {
            let name = |line: &[u8]| line.split(|byte| *byte == b':').next().map(<[u8]>::to_vec);
            lines.retain(|other| !instead || name(other) != name(&line));
            lines.insert(at.index(lines.len() + 1), line);
        }
        lines.concat()
    })
}

/// Any of these words.
pub(super) fn any_of(words: &'static str) -> impl Strategy<Value = &'static str> {
    select(words.split(' ').collect::<Vec<_>>())
}

/// The words of a first line.
pub(super) fn words(words: impl Strategy<Value = Vec<&'static str>>) -> impl Strategy<Value = Vec<u8>> {
    words.prop_map(|words| format!("{}\n", words.join(" ")).into_bytes())
}

pub(super) fn joined(parts: (Vec<u8>, Vec<u8>)) -> Vec<u8> {
    [parts.0, parts.1].concat()
}
