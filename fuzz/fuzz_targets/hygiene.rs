#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_upgrade_proxy::properties::hygiene::check;

fuzz_target!(|input: &[u8]| check(input));
