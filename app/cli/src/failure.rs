//! The one road from a failure to the person: what went wrong, where, what to do, a stable code and an exit code.
//! A failure never holds a secret.

use std::fmt;

use serde_json::json;

use crate::print;

const OUTPUT_CLOSED: &str = "output_closed";

/// Exit codes, but for those of `run` (125, 126, 127, the program's own, 128+n). docs: lonewire(1), EXIT STATUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Failure = 1,
    Usage = 2,
    Timeout = 3,
    NotAuthorized = 4,
    Configuration = 5,
    Leak = 6,
    NotRunning = 8,
    NoSuch = 10,
    /// `run`: the program handed over to an instance of it outside of the tunnel.
    HandedOver = 76,
    /// `run`: this kind of program is not run, or not like this.
    Refused = 77,
    /// `run`: Lonewire's own failure, before the program started.
    Own = 125,
    /// `run`: the program was found but cannot be executed.
    CannotExecute = 126,
    /// `run`: there is no such program.
    NoSuchProgram = 127,
    Interrupted = 130,
}

impl Exit {
    /// What each tells, for lonewire(1).
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Failure => "It failed: the message says what, where and what to do.",
            Self::Usage => "Wrong use of the command line.",
            Self::Timeout => {
                "There was no handshake in time: the tunnel is connecting or blocked, and its apps are offline."
            }
            Self::NotAuthorized => {
                "You may not do this, or nobody answered the question for a password."
            }
            Self::Configuration => "A configuration is not valid; nothing was changed.",
            Self::Leak => "A namespace is not as it must be; nothing is started in it.",
            Self::NotRunning => "The helper or the system bus cannot be reached.",
            Self::NoSuch => {
                "There is no such tunnel or app, or it is not clear which one is meant."
            }
            Self::HandedOver => {
                "The program runs outside of the tunnel already, and what was started, or would have been, is part of that instance."
            }
            Self::Refused => "This kind of program is not run in a tunnel, or not in this way.",
            Self::Own => {
                "Whatever kept the program from starting; its code stands in brackets behind the message, and with --json in the object."
            }
            Self::CannotExecute => "The program was found and cannot be executed.",
            Self::NoSuchProgram => "There is no such program.",
            Self::Interrupted => "Interrupted by Ctrl-C.",
        }
    }
}

/// Something that went wrong, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    /// Stable and in `snake_case`; once released it keeps its meaning.
    pub code: String,
    /// One sentence without its full stop.
    pub message: String,
    /// What the person can do: whole lines, each shown on its own.
    pub hints: Vec<String>,
    /// Line of a configuration, from 1.
    pub line: Option<u32>,
}

impl Failure {
    pub fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self {
            exit,
            code: code.replace('-', "_"),
            message: message.into(),
            hints: Vec::new(),
            line: None,
        }
    }

    /// Wrong use of the command line that clap cannot see.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// The system refused something of ours: `what` it was about, and why.
    pub fn system(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        let cause = lonewire_client::text::cause(cause);
        Self::new(Exit::Failure, "system", format!("{what}: {cause}"))
    }

    /// Nobody reads standard output any more (`lonewire ps | head`): there is nobody to tell, either.
    pub fn output_closed() -> Self {
        Self::new(
            Exit::Failure,
            OUTPUT_CLOSED,
            "nobody reads standard output any more",
        )
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    pub fn at_line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }

    /// The same for `run` and `shell`: whatever fails before the program starts is 125, but for 76, 77, 126 and 127.
    #[must_use]
    pub fn before_program(mut self) -> Self {
        let own = [
            Exit::HandedOver,
            Exit::Refused,
            Exit::CannotExecute,
            Exit::NoSuchProgram,
        ];
        if !own.contains(&self.exit) {
            self.exit = Exit::Own;
        }
        self
    }

    /// `{"error":{"code","message","line"}}`; `line` only where there is one.
    pub fn to_json(&self) -> serde_json::Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let (Some(line), Some(fields)) = (self.line, error.as_object_mut()) {
            fields.insert("line".to_owned(), line.into());
        }
        json!({ "error": error })
    }

    /// Shows it on standard error.
    pub fn show(&self, json: bool) {
        if self.code == OUTPUT_CLOSED {
            return;
        }
        if json {
            print::note(&self.to_json().to_string());
            return;
        }
        let (red, dim, end) = ("\x1b[1;31m", "\x1b[2m", "\x1b[0m");
        let Self { message, code, .. } = self;
        let message = print::clean_lines(message);
        print::note(&format!("{red}lonewire:{end} {message} {dim}[{code}]{end}"));
        for hint in &self.hints {
            print::note(&format!("  {}", print::clean_lines(hint)));
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.code)
    }
}
