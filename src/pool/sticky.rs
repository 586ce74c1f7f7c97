//! [`Sticky`]: a cookie by which a client's requests go to one endpoint.

use std::{error::Error as StdError, fmt, hash::Hasher, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::COOKIE};
use siphasher::sip::SipHasher13;

use super::cookie::pairs;

/// Stickiness without shared state: a cookie that names the endpoint of a client.
///
/// The cookie is set with the first response, be it the 101 of an upgrade, and again when the endpoint changes. It is removed from the
/// requests to upstreams. Its value is a hash of the endpoint's id, so that all proxies with the same ids understand it; it is not
/// signed, because a client that forges it only chooses among the endpoints that are in use.
///
/// An endpoint that is disabled, or whose weight is 0, still gets the ordinary requests of its clients; their upgrades go to
/// another one. If it is removed, ejected or full, so do the requests, with a new cookie.
///
/// ```
/// use tower_upgrade_proxy::{Pool, Sticky};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::new(["http://10.0.0.1:9000".parse()?, "http://10.0.0.2:9000".parse()?])
///     .sticky(Sticky::cookie("endpoint")?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Sticky {
    name: Arc<str>,
    key: [u8; 16],
    pub(super) is_hard: bool,
}

impl Sticky {
    /// Creates the cookie, with `Path=/`, `HttpOnly`, `SameSite=Lax`, and `Secure` if the client uses https. It lasts as long as the
    /// browser's session.
    ///
    /// # Errors
    ///
    /// If `name` is not a token ([RFC 6265, 4.1.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1)).
    pub fn cookie(name: &str) -> Result<Self, InvalidCookieName> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match !name.is_empty() && name.bytes().all(is_token) {
            true => Ok(Self { name: name.into(), key: [0; 16], is_hard: false }),
            false => Err(InvalidCookieName(name.to_owned())),
        }
    }

    /// Sets the key of the hash, the same in all proxies. With the default, a known one, a client can test whether the id of its
    /// endpoint is, for example, a certain address.
    #[must_use]
    pub fn key(mut self, key: [u8; 16]) -> Self {
        self.key = key;
        self
    }

    /// Refuses requests with 503 if their endpoint is removed, ejected or full, or does not take upgrades any more. Default: they go to
    /// another one.
    #[must_use]
    pub fn hard(mut self) -> Self {
        self.is_hard = true;
        self
    }

    /// Returns the value for an endpoint.
    pub(super) fn value(&self, id: &str) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(id.as_bytes());
        hasher.finish()
    }

    /// Removes the cookie from the fields of a request. Returns its first valid value.
    pub(crate) fn take(&self, headers: &mut HeaderMap) -> Option<u64> {
        let is_ours = |pair: &[u8]| self.text(pair).is_some();
        if !headers.get_all(COOKIE).iter().flat_map(pairs).any(is_ours) {
            return None;
        }
        let lines: Vec<_> = headers.get_all(COOKIE).iter().cloned().collect();
        headers.remove(COOKIE);
        let mut value = None;
        for line in lines {
            let mut kept = Vec::new();
            for pair in pairs(&line) {
                match self.text(pair) {
                    Some(text) => value = value.or_else(|| parse(text)),
                    None => kept.push(pair),
                }
            }
            if let (false, Ok(mut rest)) = (kept.is_empty(), HeaderValue::from_bytes(&kept.join(&b"; "[..])))
            {
                rest.set_sensitive(line.is_sensitive());
                headers.append(COOKIE, rest);
            }
        }
        value
    }

    /// Returns the field that sets the cookie.
    pub(super) fn set_cookie(&self, value: u64, is_secure: bool) -> Option<HeaderValue> {
        let value = URL_SAFE_NO_PAD.encode(value.to_be_bytes());
        let secure = if is_secure { "; Secure" } else { "" };
        let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}", self.name);
        HeaderValue::try_from(text).ok()
    }

    /// Returns the text of a pair if its name is that of the cookie.
    fn text<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        pair.strip_prefix(self.name.as_bytes())?.trim_ascii_start().strip_prefix(b"=")
    }
}

fn parse(text: &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    let length = URL_SAFE_NO_PAD.decode_slice(text.trim_ascii(), &mut bytes).ok()?;
    (length == bytes.len()).then(|| u64::from_be_bytes(bytes))
}

impl fmt::Debug for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sticky")
            .field("name", &self.name)
            .field("is_hard", &self.is_hard)
            .finish_non_exhaustive()
    }
}

/// Error: a text that is not the name of a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCookieName(String);

impl fmt::Display for InvalidCookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cookie name {:?}: it is not a token", self.0)
    }
}

impl StdError for InvalidCookieName {}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lines: &[&str]) -> (Option<u64>, Vec<String>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, line.parse().unwrap());
        }
        let value = Sticky::cookie("up").unwrap().take(&mut headers);
        let left = headers.get_all(COOKIE).iter().map(|line| line.to_str().unwrap().to_owned());
        (value, left.collect())
    }

    #[test]
    fn the_cookie_is_read_and_removed_and_others_stay() {
        // 1 as eight bytes.
        let one = "AAAAAAAAAAE";
        let table: [(&[&str], Option<u64>, &[&str]); 13] = [
            (&[], None, &[]),
            (&["a=1;b=2"], None, &["a=1;b=2"]),
            (&["up=AAAAAAAAAAE"], Some(1), &[]),
            (&["a=1; up=AAAAAAAAAAE; b=2"], Some(1), &["a=1; b=2"]),
            (&["a=1;up=AAAAAAAAAAE;;b=2;"], Some(1), &["a=1; b=2"]),
            (&["a=1", "up=AAAAAAAAAAE", "b=2"], Some(1), &["a=1", "b=2"]),
            (&["up=x; up=AAAAAAAAAAE; up=AAAAAAAAAAI"], Some(1), &[]),
            (&["up=; a=up=AAAAAAAAAAE"], None, &["a=up=AAAAAAAAAAE"]),
            (&["Up=AAAAAAAAAAE; upp=AAAAAAAAAAE"], None, &["Up=AAAAAAAAAAE; upp=AAAAAAAAAAE"]),
            (&["up=AAAAAAAAAAE="], None, &[]),
            (&["up=AAAAAAAAAAF"], None, &[]),
            (&["up=AAAAAAAAAAAAAAAAAAE"], None, &[]),
            (&["up"], None, &["up"]),
        ];
        for (lines, value, left) in table {
            assert_eq!(
                taken(lines),
                (value, left.iter().map(|line| (*line).to_owned()).collect()),
                "{lines:?}"
            );
        }
        let set = Sticky::cookie("up").unwrap().set_cookie(1, true).unwrap();
        assert_eq!(set, format!("up={one}; Path=/; HttpOnly; SameSite=Lax; Secure").as_str());
    }

    #[test]
    fn values_depend_on_the_id_and_the_key_only() {
        let sticky = Sticky::cookie("up").unwrap();
        assert_eq!(sticky.value("http://a"), Sticky::cookie("other").unwrap().value("http://a"));
        assert_ne!(sticky.value("http://a"), sticky.value("http://b"));
        assert_ne!(sticky.value("http://a"), sticky.clone().key([1; 16]).value("http://a"));
        for name in ["", "a b", "a=b", "a;b", "ä"] {
            assert!(Sticky::cookie(name).is_err(), "{name}");
        }
    }
}
