//! From the client's request head to the upstream's.
//!
//! The order is a security property and is the same for every request:
//!
//! 1. [`hygiene`]: what belongs to the client's connection goes, so that no `Connection: X-Real-IP`
//!    can take away what a later step adds.
//! 2. The handshake's own fields (`Connection`, `Upgrade`) are set anew, by the encoder.
//! 3. [`host`] and [`path`]: the policies of the layer.
//! 4. The user's hook, last, with everything in place.

pub(crate) mod host;
pub(crate) mod hygiene;
pub(crate) mod path;
pub(crate) mod tokens;

use http::request::Parts;

use crate::{Error, Upstream, config::Config};

/// Turns the client's `parts` into the head for `upstream`.
///
/// `handshake` sets the fields of the upgrade, between hygiene and the policies.
pub(crate) fn rewrite(
    config: &Config,
    mut parts: Parts,
    upstream: &Upstream,
    handshake: impl FnOnce(&mut Parts),
) -> Result<Parts, Error> {
    let inbound = config.on_request.as_ref().map(|hook| (hook, parts.clone()));
    hygiene::strip_request(&mut parts.headers);
    handshake(&mut parts);
    config.host.apply(&mut parts, upstream);
    parts.uri = config.path.apply(&parts, upstream)?.into();
    if let Some((hook, inbound)) = inbound {
        hook(&inbound, &mut parts);
    }
    Ok(parts)
}
