//! Option that limits tunnels to certain web origins.

use std::str::FromStr;

use clap::Args;
use tower_upgrade_proxy::{AllowOrigin, InvalidOrigin};

#[derive(Args)]
pub(crate) struct Origins {
    /// Web origin whose pages may open tunnels, `https://HOST[:PORT]` or `same-host`; repeatable. Upgrades from pages
    /// of other origins get a 403. `same-host` allows http and https pages of the requested host and port; list the
    /// origins instead if the server trusts its network (DNS rebinding) [default: any origin]
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    origins: Vec<Allowed>,
}

#[derive(Clone)]
struct Allowed(AllowOrigin);

impl Origins {
    /// Allows each given origin, or any if none is given.
    pub(crate) fn allow(&self) -> AllowOrigin {
        self.origins.iter().map(|one| one.0.clone()).reduce(AllowOrigin::or).unwrap_or_default()
    }
}

impl FromStr for Allowed {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        match text {
            "same-host" => Ok(Self(AllowOrigin::same_host())),
            origin => AllowOrigin::list([origin]).map(Self),
        }
    }
}
