//! The shipped policy, and the real polkitd: who has no session and no rule for him gets nothing that asks.

use anyhow::Result;
use lab::{ALICE, NOBODY, World, caller::Door, net::Spec};
use zbus::message::Flags;

use super::{
    scene::{self, assert_no_trace, import, traces},
    table::{self, Names, table},
};

#[test]
fn who_has_no_session_sees_nothing_and_changes_nothing() -> Result<()> {
    let world = World::new(Spec::product())?;
    // Alice has a rule.
    let alice = Door::of(&world, &ALICE)?.enter()?;
    let tunnel = import(&alice, "alices", table::configuration()?)?;
    for person in [NOBODY, scene::NOBODY] {
        let caller = Door::of(&world, &person)?.enter()?;
        let before = traces(&world)?;
        for row in table() {
            for (flags, denied) in [
                (Flags::empty(), "InteractiveAuthorizationRequired"),
                // Nobody is there to be asked.
                (Flags::ALLOW_INTERACTIVE_AUTH, "AccessDenied"),
            ] {
                let reply = caller.ask(&(row.call)(&tunnel, flags)?)?;
                let wanted = match (row.names, row.action) {
                    (Names::Nothing, Some(_)) => denied,
                    (Names::Nothing, None) => "",
                    _ => "NotFound",
                };
                assert_eq!(reply.error(), wanted, "{} {}", person.name, row.member);
            }
        }
        assert!(scene::list(&caller)?.is_empty());
        assert_no_trace(&before, &traces(&world)?, person.name);
    }
    assert_eq!(scene::list(&alice)?.len(), 1);
    Ok(())
}
