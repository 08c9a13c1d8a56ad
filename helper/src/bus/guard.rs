//! Stands before every interface: a member that is not in the bouncer's table is refused, so is a message that is too
//! large; a panic is caught and answered; the caller's descriptors are closed elsewhere. It lets nobody in: that is `auth`.

use std::{collections::HashMap, fmt::Write, panic::AssertUnwindSafe};

use futures_util::FutureExt as _;
use zbus::{
    BoxDBusError, Connection, ObjectServer, OwnedVariant, Variant, fdo,
    message::{Header, Message},
    names::{InterfaceName, MemberName},
    object_server::{DispatchResult, Interface, SignalEmitter},
};

use super::{activity::Activity, closer::Closer, error::Refusal};
use crate::auth;

/// Bytes of a call's arguments.
const BODY: usize = 256 * 1024;
/// Of a launch: 1 MiB of arguments, 256 KiB of environment, and the rest.
const LAUNCH_BODY: usize = 2 * 1024 * 1024;

/// An interface behind the guard.
#[derive(Debug)]
pub struct Guarded<I> {
    interface: I,
    closer: Closer,
    activity: Activity,
}

impl<I> Guarded<I> {
    pub fn new(interface: I, closer: &Closer, activity: &Activity) -> Self {
        Self {
            interface,
            closer: closer.clone(),
            activity: activity.clone(),
        }
    }
}

fn refuse(message: &Message, interface: &str, member: &str) -> Option<Refusal> {
    if auth::need(interface, member).is_none() {
        return Some(Refusal::denied("not-listed"));
    }
    let limit = if member == "Launch" {
        LAUNCH_BODY
    } else {
        BODY
    };
    (message.body().len() > limit).then(|| Refusal::argument("message", "too-large"))
}

#[zbus::export::async_trait::async_trait]
impl<I: Interface> Interface for Guarded<I> {
    fn name() -> InterfaceName<'static> {
        I::name()
    }

    async fn get(
        &self,
        property: &str,
        server: &ObjectServer,
        connection: &Connection,
        header: Option<&Header<'_>>,
        emitter: &SignalEmitter<'_>,
    ) -> Option<Result<OwnedVariant, BoxDBusError>> {
        auth::need(&I::name(), property)?;
        let _use = self.activity.begin();
        self.interface
            .get(property, server, connection, header, emitter)
            .await
    }

    async fn get_all(
        &self,
        server: &ObjectServer,
        connection: &Connection,
        header: Option<&Header<'_>>,
        emitter: &SignalEmitter<'_>,
    ) -> fdo::Result<HashMap<String, OwnedVariant>> {
        let _use = self.activity.begin();
        let mut all = self
            .interface
            .get_all(server, connection, header, emitter)
            .await?;
        all.retain(|property, _| auth::need(&I::name(), property).is_some());
        Ok(all)
    }

    fn set<'call>(
        &'call self,
        _property: &'call str,
        _value: &'call Variant<'_>,
        _server: &'call ObjectServer,
        _connection: &'call Connection,
        _header: Option<&'call Header<'_>>,
        _emitter: &'call SignalEmitter<'_>,
    ) -> DispatchResult<'call> {
        // No property is writable; and never `RequiresMut`, which would lock everybody out while a call is open.
        DispatchResult::NotFound
    }

    async fn set_mut(
        &mut self,
        _property: &str,
        _value: &Variant<'_>,
        _server: &ObjectServer,
        _connection: &Connection,
        _header: Option<&Header<'_>>,
        _emitter: &SignalEmitter<'_>,
    ) -> Option<Result<(), BoxDBusError>> {
        None
    }

    fn call<'call>(
        &'call self,
        server: &'call ObjectServer,
        connection: &'call Connection,
        message: &'call Message,
        member: MemberName<'call>,
    ) -> DispatchResult<'call> {
        let refusal = refuse(message, &I::name(), &member);
        let ours = self.activity.begin();
        let DispatchResult::Async(handler) =
            self.interface.call(server, connection, message, member)
        else {
            return DispatchResult::NotFound;
        };
        DispatchResult::Async(Box::pin(async move {
            let result = match refusal {
                Some(refusal) => Err(Box::new(refusal) as BoxDBusError),
                None => AssertUnwindSafe(handler)
                    .catch_unwind()
                    .await
                    .unwrap_or_else(|_| {
                        // The panic hook has told where; its payload may hold anything.
                        Err(Box::new(Refusal::failed()))
                    }),
            };
            if message.header().unix_fds().is_some_and(|count| count > 0) {
                self.closer.close(message.clone());
            }
            drop(ours);
            result
        }))
    }

    fn call_mut<'call>(
        &'call mut self,
        _server: &'call ObjectServer,
        _connection: &'call Connection,
        _message: &'call Message,
        _member: MemberName<'call>,
    ) -> DispatchResult<'call> {
        DispatchResult::NotFound
    }

    fn introspect_to_writer(&self, writer: &mut dyn Write, level: usize) {
        self.interface.introspect_to_writer(writer, level);
    }
}
