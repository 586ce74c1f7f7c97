//! The option for which web pages may open tunnels.

use std::str::FromStr;

use clap::Args;
use tower_upgrade_proxy::{AllowOrigin, InvalidOrigin};

#[derive(Args)]
pub(crate) struct Origins {
    /// Answer 403 to upgrades from web pages, but for those of ORIGIN, which is `https://HOST[:PORT]` or
    /// `same-host`; repeatable [default: pages from anywhere]
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    origins: Vec<Allowed>,
}

#[derive(Clone)]
struct Allowed(AllowOrigin);

impl Origins {
    /// Each of them, or any.
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
