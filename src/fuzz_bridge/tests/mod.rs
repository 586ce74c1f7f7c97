//! The properties, with random inputs.

mod inputs;
mod strategies;

use proptest::prelude::*;

use super::{detect, forwarded, hop_by_hop, path, verify};
use inputs::{answer, head, request, route, told};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn fields_of_a_connection_go_and_all_others_stay(head in head()) {
        hop_by_hop::check(&head);
    }

    #[test]
    fn a_request_is_detected_by_the_book(request in request()) {
        detect::check(&request);
    }

    #[test]
    fn an_answer_is_verified_by_the_book(answer in answer()) {
        verify::check(&answer);
    }

    #[test]
    fn no_path_leaves_its_upstream_or_its_base(route in route()) {
        path::check(&route);
    }

    #[test]
    fn the_client_is_whom_our_proxies_name_and_the_upstream_is_told(head in told()) {
        forwarded::check(&head);
    }
}
