// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `/proc` tells of a process, read from its text.

/// A field of proc(5)'s stat, by the number that it has there: 19 is niceness, 22 when the process began, in clock ticks since boot.
pub fn stat_field<T: std::str::FromStr>(stat: &str, number: usize) -> Option<T> {
    // The second field is the name, in parentheses, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace()
        .nth(number.checked_sub(3)?)?
        .parse()
        .ok()
}

/// Whether the text of `/proc/PID/status` is of a process whose uids (real, effective, saved, of files) are all this one.
pub fn is_of(status: &str, uid: u32) -> bool {
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let uids: Vec<_> = uids
        .unwrap_or_default()
        .split_whitespace()
        .map(str::parse)
        .collect();
    uids.len() == 4 && uids.iter().all(|found| *found == Ok(uid))
}

/// What to write so that the program runs under the caller's label, and not under that of root's service. From the same label a program goes where the
/// policy says by itself, as when the caller starts it.
pub fn label_at_exec(own: &str, caller: &str, is_apparmor: bool) -> Option<String> {
    let plain = |label: &str| label.trim_end_matches(['\0', '\n']).to_owned();
    let (own, caller) = (plain(own), plain(caller));
    if own == caller {
        None
    } else if is_apparmor {
        // `name (mode)`.
        let name = caller
            .rsplit_once(" (")
            .map_or(caller.as_str(), |(name, _)| name);
        Some(format!("exec {name}"))
    } else {
        Some(caller)
    }
}

/// proc(5): `/proc/PID/limits` has a line a limit, in the order of their numbers; names are padded to 26 characters.
pub fn limits(text: &str) -> Option<Vec<(u64, u64)>> {
    let value = |word: &str| match word {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    };
    let line = |line: &str| {
        let mut words = line.get(26..)?.split_whitespace();
        Some((value(words.next()?)?, value(words.next()?)?))
    };
    let limits: Vec<_> = text.lines().skip(1).map(line).collect::<Option<_>>()?;
    (limits.len() == 16).then_some(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_of_a_user_by_all_four_uids() {
        let status = |uids: &str| format!("Name:\tUid:\nUid:\t{uids}\nGid:\t7 7 7 7\n");
        assert!(is_of(&status("7\t7\t7\t7"), 7));
        for uids in ["7\t0\t7\t7", "7\t7\t7", "7\t7\t7\t7\t7", "", "7\t7\t7\tx"] {
            assert!(!is_of(&status(uids), 7), "{uids}");
        }
        assert!(!is_of("", 0));
    }

    #[test]
    fn the_label_is_the_callers_unless_it_is_our_own() {
        assert_eq!(label_at_exec("unconfined\n", "unconfined\n", true), None);
        assert_eq!(
            label_at_exec("unconfined\n", "snap.some (one) (enforce)\n", true),
            Some("exec snap.some (one)".to_owned())
        );
        assert_eq!(
            label_at_exec("lonewire (enforce)\n", "unconfined\n", true),
            Some("exec unconfined".to_owned())
        );
        let user = "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023";
        assert_eq!(
            label_at_exec("system_u:system_r:init_t:s0\0", &format!("{user}\0"), false),
            Some(user.to_owned())
        );
    }
}
