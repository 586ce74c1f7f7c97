#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_upgrade_proxy::fuzz_bridge::cookie::check;

fuzz_target!(|input: &[u8]| check(input));
