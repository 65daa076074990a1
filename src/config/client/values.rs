//! What may stand behind the flags.

use std::{fmt, str::FromStr, time::Duration};

/// Which sessions `logout` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionChoice {
    /// The one of this number.
    Number(u32),
    /// All.
    All,
}

impl FromStr for SessionChoice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(SessionChoice::All),
            number => {
                number.parse().map(SessionChoice::Number).map_err(|_| "a number from `sessions`, or all")
            }
        }
    }
}

/// A server as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address, without brackets.
    pub host: String,
    /// The port, if one is named.
    pub port: Option<u16>,
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "write HOST, HOST:PORT or [IPv6]:PORT";
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(FORM)?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(FORM)?) })
            }
            // An IPv6 address without brackets has no port.
            None => match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(FORM);
        }
        let port = port.map(|port| {
            port.parse().ok().filter(|port| *port > 0).ok_or("a port is a number from 1 to 65535")
        });
        Ok(Address { host: host.to_owned(), port: port.transpose()? })
    }
}

/// Name of a profile: a part of a file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileName(String);

impl FromStr for ProfileName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let may = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.is_empty() || text.len() > 64 || !text.chars().all(may) || text.starts_with('.') {
            return Err("1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-', not beginning with '.'");
        }
        Ok(ProfileName(text.to_owned()))
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a device is called: 1 to 32 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device(String);

impl FromStr for Device {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        if fits { Ok(Device(text.to_owned())) } else { Err("1 to 32 printable ASCII characters") }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A time such as `6s`, `5m` or `1h 30m`; a number alone means seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let time = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?,
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string())?,
    };
    // Beyond that, adding it to a time may overflow.
    if time.is_zero() || time > Duration::from_hours(100 * 365 * 24) {
        return Err("more than nothing, and at most 100 years".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_written_as_people_do() {
        let parsed = |text: &str| text.parse::<Address>().map(|Address { host, port }| (host, port));
        let is = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(parsed("chat.example"), is("chat.example", None));
        assert_eq!(parsed("127.0.0.1:8889"), is("127.0.0.1", Some(8889)));
        assert_eq!(parsed("[::1]:8889"), is("::1", Some(8889)));
        assert_eq!(parsed("[::1]"), is("::1", None));
        assert_eq!(parsed("fe80::1"), is("fe80::1", None));
        for wrong in ["", ":1", "a:", "a:0", "a:70000", "[::1", "[::1]8", "http://a", "messi@a", "a b"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        for (text, milliseconds) in
            [("6s", 6000), ("5m", 300_000), ("2", 2000), ("0.25", 250), ("1h 30m", 5_400_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["", "0", "-1", "soon", "0s", "1e300", "nan", "200years"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
