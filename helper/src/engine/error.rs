//! What can go wrong, as a caller may know it. The bus maps each to one name and one fixed text; causes go to the log.

use lonewire_core::{launch::Stage, name::Id};

use crate::ports::PortError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown, or another user's: no difference can be seen.
    #[error("there is no such tunnel or app")]
    NotFound,
    #[error("{argument}: {problem}")]
    InvalidArgument {
        argument: &'static str,
        problem: &'static str,
    },
    /// A configuration that does not parse. `value` is empty on a line that could hold a key.
    #[error("line {line}, column {column}: {key}: {reason}")]
    InvalidConfiguration {
        line: u32,
        column: u32,
        key: String,
        value: String,
        reason: &'static str,
    },
    #[error("another tunnel has that name")]
    NameInUse,
    #[error("a tunnel with the same key is up")]
    KeyInUse,
    #[error("the tunnel is not off")]
    Busy,
    #[error("apps run in the tunnel")]
    AppsRunning(Vec<Id>),
    #[error("more than {limit} {what}")]
    LimitsExceeded { what: &'static str, limit: u32 },
    /// No handshake in time; the reason's code is that of the state.
    #[error("the tunnel is not protected: {reason}")]
    NotProtected { reason: &'static str },
    /// Connecting failed; the reason's code is that of the state `failed`.
    #[error("connecting failed: {reason}")]
    ConnectFailed {
        reason: &'static str,
        #[source]
        source: Option<PortError>,
    },
    #[error("the namespace holds what the plan did not put there")]
    Unsealed(Vec<String>),
    #[error("the program could not be started: {stage:?}")]
    LaunchFailed { stage: Stage, errno: i32 },
    /// uid 0 launches nothing here.
    #[error("not supported: {what}")]
    NotSupported { what: &'static str },
    /// It wants a grant that the caller did not bring.
    #[error("not authorised")]
    NotAuthorised,
    #[error("the helper could not do it")]
    Failed(#[from] PortError),
}
