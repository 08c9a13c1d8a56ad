//! The three interfaces on one object. Thin: a handler parses its arguments, passes the bouncer, and gives the grant to the
//! engine; it decides nothing, and holds no lock across an await.

mod activity;
mod apps;
mod args;
mod closer;
mod dict;
mod error;
mod guard;
mod herald;
pub mod host;
mod logins;
mod service;
mod tunnels;

use std::sync::Arc;

use lonewire_api::names::OBJECT_PATH;
use zbus::{Connection, message::Header};

pub use self::activity::Activity;
use self::{
    apps::Apps, closer::Closer, error::Answer, guard::Guarded, herald::Herald, service::Service,
    tunnels::Tunnels,
};
use crate::{
    auth::{Action, Bouncer, Deadlines, Grant},
    engine::Handle,
};
use lonewire_core::name::Id;

/// What every handler holds: the bouncer, and the engine behind it.
#[derive(Debug, Clone)]
struct Gate {
    bouncer: Arc<Bouncer<Handle>>,
    engine: Handle,
    /// For questions to the bus itself.
    questions: Connection,
}

impl Gate {
    async fn pass<A: Action>(&self, call: &Header<'_>) -> Answer<Grant<A>> {
        Ok(self.bouncer.pass(call).await?)
    }

    async fn pass_for<A: Action>(&self, call: &Header<'_>, id: &str) -> Answer<(Grant<A>, Id)> {
        Ok(self.bouncer.pass_for(call, id).await?)
    }

    async fn pass_for_all<A: Action, const N: usize>(
        &self,
        call: &Header<'_>,
        ids: [&str; N],
    ) -> Answer<(Grant<A>, [Id; N])> {
        Ok(self.bouncer.pass_for_all(call, ids).await?)
    }
}

/// Puts the three interfaces on the bus; the name is the daemon's to claim. Call it on a connection that has served nothing yet,
/// once the engine is ready: the quotas are read here. `questions` is another connection, on which nothing is served. Answers with what tells
/// whether anybody uses the service.
///
/// # Errors
/// A connection is gone.
pub async fn serve(
    bus: &Connection,
    questions: &Connection,
    engine: Handle,
    deadlines: Deadlines,
) -> zbus::Result<Activity> {
    let prompts = engine.quotas().prompts;
    let bouncer = Arc::new(Bouncer::new(questions, engine.clone(), deadlines, prompts).await?);
    let activity = Activity::default();
    let herald = Herald::start(bus, engine.events(), activity.clone());
    let closer = Closer::default();
    let questions = questions.clone();
    let gate = Gate {
        bouncer,
        engine,
        questions,
    };
    let server = bus.object_server();
    server
        .at(
            OBJECT_PATH,
            Guarded::new(
                Service {
                    gate: gate.clone(),
                    herald,
                },
                &closer,
                &activity,
            ),
        )
        .await?;
    server
        .at(
            OBJECT_PATH,
            Guarded::new(Tunnels { gate: gate.clone() }, &closer, &activity),
        )
        .await?;
    server
        .at(OBJECT_PATH, Guarded::new(Apps { gate }, &closer, &activity))
        .await?;
    Ok(activity)
}
