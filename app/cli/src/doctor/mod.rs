//! What `lonewire doctor` is made of: facts (`system`, [`Helper`]) and what they mean (`judge`), apart, so that judging needs no
//! machine; and what of it others may see (`bundle`).

pub mod bundle;
pub mod judge;
pub mod system;

use lonewire_api::TunnelInfo;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Ok,
    /// It works, but not as it could.
    Warn,
    Fail,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Stable, in `snake_case`.
    pub code: &'static str,
    pub status: Status,
    /// What was found, in words.
    pub found: String,
    /// What to do; nothing where all is well.
    pub fix: Option<String>,
}

impl Check {
    pub fn ok(code: &'static str, found: impl Into<String>) -> Self {
        Self {
            code,
            status: Status::Ok,
            found: found.into(),
            fix: None,
        }
    }

    pub fn bad(
        code: &'static str,
        status: Status,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            code,
            status,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }
}

/// What the helper told.
#[derive(Debug, Default)]
pub struct Helper {
    pub version: String,
    pub features: Vec<String>,
    pub tunnels: Vec<TunnelInfo>,
    /// polkit is on the bus, or would be started.
    pub polkit: bool,
}
