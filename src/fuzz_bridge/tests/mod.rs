//! Property tests with random inputs.

mod inputs;
mod strategies;

use proptest::prelude::*;

use super::{cookie, detect, forwarded, hop_by_hop, path, verify};
use inputs::{cookies, forwarded_head, head, request, response, route};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn hop_by_hop_fields_are_removed_and_all_others_kept(head in head()) {
        hop_by_hop::check(&head);
    }

    #[test]
    fn upgrade_requests_are_detected_as_specified(request in request()) {
        detect::check(&request);
    }

    #[test]
    fn responses_are_verified_as_specified(response in response()) {
        verify::check(&response);
    }

    #[test]
    fn no_path_escapes_its_upstream_or_base_path(route in route()) {
        path::check(&route);
    }

    #[test]
    fn the_sticky_cookie_is_removed_and_all_others_stay(cookies in cookies()) {
        cookie::check(&cookies);
    }

    #[test]
    fn forwarding_fields_name_the_client_as_specified(head in forwarded_head()) {
        forwarded::check(&head);
    }
}
