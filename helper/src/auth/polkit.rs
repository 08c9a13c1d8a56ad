//! The conversation with polkit: one question a call, without a prompt first, with a deadline, cancelled when the caller leaves. It
//! says yes or why not; it must never make a grant, decide whose a thing is, or keep an answer.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use lonewire_api::names::ACTION_PREFIX;
use zbus::{
    Connection,
    message::{Flags, Header},
};
use zbus_polkit::policykit1::{
    AuthorityProxy, AuthorizationResult, CheckAuthorizationFlags, Subject,
};

use super::{Caller, Denied, turns::Turns};
use crate::presence;

/// How long polkit may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Without a prompt.
    pub answer: Duration,
    /// While a person reads and types.
    pub prompt: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            // Longer than polkitd itself may hang: see `RUNAWAY`.
            answer: Duration::from_secs(20),
            prompt: Duration::from_secs(120),
        }
    }
}

/// Questions to polkit without a prompt that one user may have open at a time.
const CHECKS: u32 = 256;
/// Of them, those that polkit is thinking about at the same time: one user's wait for each other, not for another user's.
const TURNS: usize = 8;
/// The same of all users. The bus lets a connection wait for 128 answers (`max_replies_per_connection`); credentials take some of
/// them, prompts and what goes with them the rest.
const QUESTIONS: usize = 40;
/// polkit usually answers in 4 ms: only for one that takes longer it is watched whether the caller stays.
const PATIENCE: Duration = Duration::from_millis(100);

/// polkitd ends a rule's script after 15 s, takes that for a no, and answers nobody meanwhile. Version 122 (Debian 12) loses a wake-up in some
/// thousand questions on a busy machine and then waits so long for a script that has long ended. A no that took this long is asked again, once.
const RUNAWAY: Duration = Duration::from_secs(14);

/// Asks polkit.
#[derive(Debug)]
pub(super) struct Polkit {
    bus: Connection,
    authority: AuthorityProxy<'static>,
    deadlines: Deadlines,
    prompts: u32,
    turns: Turns<Key>,
    cancellation: AtomicU64,
}

impl Polkit {
    /// `prompts`: how many a user may have open at a time.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) async fn new(
        bus: &Connection,
        deadlines: Deadlines,
        prompts: u32,
    ) -> zbus::Result<Self> {
        Ok(Self {
            bus: bus.clone(),
            authority: AuthorityProxy::builder(bus)
                .cache_properties(zbus::proxy::CacheProperties::No)
                .build()
                .await?,
            deadlines,
            prompts,
            turns: Turns::new(TURNS, QUESTIONS),
            cancellation: AtomicU64::new(0),
        })
    }

    /// Asks without a prompt first, so that prompts are counted only where there would be one.
    ///
    /// # Errors
    /// Whatever is no yes.
    pub(super) async fn ask(
        &self,
        call: &Header<'_>,
        caller: &Caller,
        action: &str,
        label: Option<&str>,
    ) -> Result<(), Denied> {
        let asked = Instant::now();
        let mut result = self.check(call, caller, action, label, false).await?;
        if !result.is_authorized && asked.elapsed() >= RUNAWAY {
            tracing::warn!("polkit took very long to say no, and is asked again");
            result = self.check(call, caller, action, label, false).await?;
        }
        if result.is_authorized {
            return Ok(());
        }
        if !result.is_challenge {
            return Err(Denied::No("not-authorized"));
        }
        if !call
            .primary()
            .flags()
            .contains(Flags::ALLOW_INTERACTIVE_AUTH)
        {
            return Err(Denied::NeedsPrompt);
        }
        let result = self.check(call, caller, action, label, true).await?;
        if result.is_authorized {
            return Ok(());
        }
        let dismissed = result
            .details
            .get("polkit.dismissed")
            .is_some_and(|value| !value.is_empty());
        Err(Denied::No(if dismissed {
            "dismissed"
        } else {
            "not-authorized"
        }))
    }

    async fn check(
        &self,
        call: &Header<'_>,
        caller: &Caller,
        action: &str,
        label: Option<&str>,
        prompt: bool,
    ) -> Result<AuthorizationResult, Denied> {
        let limit = if prompt { self.prompts } else { CHECKS };
        let place = self.turns.place((caller.uid, prompt), limit);
        let place = place.ok_or(Denied::TooMany { limit })?;
        // Kind `system-bus-name` with the sender that the bus wrote into the header.
        let subject = Subject::new_for_message_header(call).map_err(|_| Denied::No("no-sender"))?;
        let action = format!("{ACTION_PREFIX}.{action}");
        let details = label
            .map(|label| HashMap::from([("tunnel", label)]))
            .unwrap_or_default();
        let (flags, deadline) = if prompt {
            (
                CheckAuthorizationFlags::ALLOW_USER_INTERACTION,
                self.deadlines.prompt,
            )
        } else {
            (CheckAuthorizationFlags::empty(), self.deadlines.answer)
        };
        // Waiting for a turn is a part of it.
        let late = tokio::time::sleep(deadline);
        tokio::pin!(late);
        let _turn = if prompt {
            None
        } else {
            tokio::select! {
                turn = self.turns.turn(&place) => turn.ok(),
                () = &mut late => return Err(Denied::No("polkit-late")),
            }
        };
        let cancellation = format!(
            "lonewire-{}",
            self.cancellation.fetch_add(1, Ordering::Relaxed)
        );
        let answer =
            self.authority
                .check_authorization(&subject, &action, &details, flags, &cancellation);
        let gone = async {
            tokio::time::sleep(PATIENCE).await;
            if presence::left(&self.bus, &caller.sender).await.is_none() {
                tracing::warn!("it cannot be watched whether a caller stays on the bus");
            }
        };
        let why = tokio::select! {
            answer = answer => match answer {
                Ok(result) => return Ok(result),
                Err(error) => {
                    tracing::warn!(error = %kind_of(&error), "polkit could not be asked");
                    return Err(Denied::No("polkit-failed"));
                }
            },
            () = gone => "caller-left",
            () = &mut late => "polkit-late",
        };
        // Nobody waits for what becomes of this, and a hanging polkit must not hold it up.
        let authority = self.authority.clone();
        drop(tokio::spawn(async move {
            let cancel = authority.cancel_check_authorization(&cancellation);
            let _ = tokio::time::timeout(Duration::from_secs(5), cancel).await;
        }));
        Err(Denied::No(why))
    }
}

/// An error's D-Bus name or kind; never its text, which others wrote.
fn kind_of(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(name, ..) => name.to_string(),
        zbus::Error::FDO(error) => zbus::DBusError::name(error.as_ref()).to_string(),
        _ => "not understood".to_owned(),
    }
}

/// A user, and whether it is about prompts.
type Key = (u32, bool);
