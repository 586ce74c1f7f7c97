//! Strategies for the parts of an input.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    string::bytes_regex,
};

/// A known value, or occasionally any bytes valid in a field value.
pub(super) fn value(known: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => select(known).prop_map(|value| value.as_bytes().to_vec()),
        1 => bytes_regex("[\\t -~\\x80-\\xff]{0,8}").unwrap(),
    ]
}

/// A list field in any case, with white space, empty and invalid elements.
pub(super) fn list(known: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let odd = select(&["", " ", "\"x-a\"", "x-a x-b", "\"a, te", "\u{e9}", "=;", "x\\,"][..]);
    let element = prop_oneof![4 => select(known), 1 => odd];
    let space = || select(&["", "", " ", "\t", " \t "][..]);
    let element = (space(), element, space(), any::<bool>()).prop_map(|(before, element, after, upper)| {
        let element = if upper { element.to_ascii_uppercase() } else { element.to_owned() };
        [before, &element, after].concat()
    });
    vec(element, 0..5).prop_map(|elements| elements.join(",").into_bytes())
}

/// A field line.
pub(super) fn line(
    name: &'static str,
    value: impl Strategy<Value = Vec<u8>>,
) -> impl Strategy<Value = Vec<u8>> {
    value.prop_map(move |value| [name.as_bytes(), b": ", &value, b"\n"].concat())
}

/// Up to `most` lines.
pub(super) fn lines(line: impl Strategy<Value = Vec<u8>>, most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(line, 0..most).prop_map(|lines| lines.concat())
}

/// The given lines, of which one may be missing, with others inserted or in place of those of the same name.
pub(super) fn mostly(
    valid: &'static [&'static str],
    other: impl Strategy<Value = Vec<u8>>,
) -> impl Strategy<Value = Vec<u8>> {
    let missing = prop::option::weighted(0.2, any::<Index>());
    let others = prop_oneof![1 => Just(Vec::new()), 2 => vec((any::<Index>(), any::<bool>(), other), 0..3)];
    (missing, others).prop_map(|(missing, others)| {
        let mut lines: Vec<Vec<u8>> = valid.iter().map(|line| format!("{line}\n").into_bytes()).collect();
        if let Some(missing) = missing {
            lines.remove(missing.index(valid.len()));
        }
        for (at, instead, line) in others {
            let name = |line: &[u8]| line.split(|byte| *byte == b':').next().map(<[u8]>::to_vec);
            lines.retain(|other| !instead || name(other) != name(&line));
            lines.insert(at.index(lines.len() + 1), line);
        }
        lines.concat()
    })
}

/// One of the words.
pub(super) fn any_of(words: &'static str) -> impl Strategy<Value = &'static str> {
    select(words.split(' ').collect::<Vec<_>>())
}

/// A first line of words.
pub(super) fn words(words: impl Strategy<Value = Vec<&'static str>>) -> impl Strategy<Value = Vec<u8>> {
    words.prop_map(|words| format!("{}\n", words.join(" ")).into_bytes())
}

/// The concatenation of both parts.
pub(super) fn joined(parts: (Vec<u8>, Vec<u8>)) -> Vec<u8> {
    [parts.0, parts.1].concat()
}
