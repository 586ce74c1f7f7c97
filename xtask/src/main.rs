//! The commands of the day.

fn main() {}
