//! The only authorisation file: who is calling, what is the caller's, and what polkit says. A [`Grant`] is the proof, and
//! nothing outside this file can make one.

use std::marker::PhantomData;

use lonewire_core::name::Id;

/// Who sent a message, as the bus says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub uid: u32,
    /// For the resource limits of a launch, never for authorisation.
    pub pid: i32,
    /// Unique name on the bus.
    pub sender: String,
}

/// Whose a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    User(u32),
    /// The administrator's, for those whom the admin file names.
    Shared,
}

/// What an id can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tunnel,
    App,
}

/// Where `auth` learns whose an id is; the engine knows.
pub trait Ownership: Send + Sync {
    fn owner(&self, kind: Kind, id: &Id) -> impl Future<Output = Option<Owner>> + Send;
}

/// Proof that the caller owns the thing (where one is named) and, for actions that ask polkit, that polkit said yes.
#[derive(Debug)]
pub struct Grant<A> {
    caller: Caller,
    action: PhantomData<fn() -> A>,
}

impl<A> Grant<A> {
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub fn uid(&self) -> u32 {
        self.caller.uid
    }

    /// For the engine's own tests, where no bus is.
    #[cfg(test)]
    pub fn for_test(uid: u32) -> Self {
        let caller = Caller {
            uid,
            pid: 1,
            sender: format!(":1.{uid}"),
        };
        Self {
            caller,
            action: PhantomData,
        }
    }
}

/// Seeing and switching off what is one's own: the owner check is all.
#[derive(Debug)]
pub enum Own {}
/// `import-own`
#[derive(Debug)]
pub enum ImportOwn {}
/// `connect-own`
#[derive(Debug)]
pub enum ConnectOwn {}
/// `launch-own`
#[derive(Debug)]
pub enum LaunchOwn {}
