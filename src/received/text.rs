//! Text from outside, made safe for log lines: of bounded length, and without control characters, with which a
//! client could forge a line.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write},
};

/// Maximum number of bytes of a text in a field.
const LENGTH: usize = 1024;

/// The end of a text that was cut.
const CUT: &str = "…";

/// Returns `text`, cut to the maximum length. Subscribers escape the fields that are strings.
pub(crate) fn clip(text: &str) -> Cow<'_, str> {
    if text.len() <= LENGTH {
        return Cow::Borrowed(text);
    }
    let end = (0..=LENGTH).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    Cow::Owned([&text[..end], CUT].concat())
}

/// Displays a value without control characters and line separators, cut to the maximum length.
pub(crate) struct Printable<T>(pub(crate) T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Filter { f, left: LENGTH }, "{}", self.0)
    }
}

/// Writer that escapes and cuts.
struct Filter<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    left: usize,
}

impl Write for Filter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            if self.left == 0 {
                return Ok(());
            }
            self.left = self.left.saturating_sub(char.len_utf8());
            if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') {
                write!(self.f, "{}", char.escape_default())?;
            } else {
                self.f.write_char(char)?;
            }
            if self.left == 0 {
                self.f.write_str(CUT)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let text = "a\nb\r\u{1b}[31m\u{7f}\u{85}\u{2028}é";
        assert_eq!(Printable(text).to_string(), r"a\nb\r\u{1b}[31m\u{7f}\u{85}\u{2028}é");
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "é".repeat(LENGTH);
        let cut = "é".repeat(LENGTH / 2) + CUT;
        assert_eq!((Printable(&long).to_string(), &*clip(&long)), (cut.clone(), &*cut));
        assert_eq!(clip(&long[..LENGTH]), &long[..LENGTH]);
        let odd = format!("a{long}");
        assert_eq!(clip(&odd).chars().count(), 1 + LENGTH / 2);
    }
}
