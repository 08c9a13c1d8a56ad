//! Which tunnel or app a word means: an id, a name, or the only one that begins so. Upper and lower case are one.

use lonewire_api::{AppInfo, AppState, TunnelInfo};
use lonewire_client::text::printable;
use lonewire_core::name::TunnelName;

use crate::{
    context::Context,
    failure::{Exit, Failure},
    helper_error::{About, quoted},
};

/// A tunnel that was chosen.
#[derive(Debug, Clone)]
pub struct Tunnel {
    pub id: String,
    pub info: TunnelInfo,
}

/// The user's tunnels, by name.
///
/// # Errors
/// The helper's.
pub fn tunnels(context: &Context) -> Result<Vec<Tunnel>, Failure> {
    let list = context.call(About::Nothing, async |client| client.tunnels().await)?;
    let mut tunnels: Vec<Tunnel> = list
        .into_iter()
        .map(|(id, info)| Tunnel { id, info })
        .collect();
    tunnels.sort_by_key(|tunnel| fold(&tunnel.info.name));
    Ok(tunnels)
}

/// The tunnel that `word` means.
///
/// # Errors
/// The helper's; `no_such_tunnel`, `ambiguous`.
pub fn tunnel(context: &Context, word: &str) -> Result<Tunnel, Failure> {
    choose(&tunnels(context)?, word)
}

/// The tunnel that `word` means; without a word the default one, or the only one.
///
/// # Errors
/// As [`tunnel`]; `no_default_tunnel`.
pub fn tunnel_or_default(context: &Context, word: Option<&str>) -> Result<Tunnel, Failure> {
    match word {
        Some(word) => tunnel(context, word),
        None => only(tunnels(context)?, context.settings()?.default_tunnel()),
    }
}

/// The default tunnel, or the only one.
fn only(mut tunnels: Vec<Tunnel>, default: Option<&str>) -> Result<Tunnel, Failure> {
    if let Some(found) = tunnels.iter().find(|tunnel| Some(&*tunnel.id) == default) {
        return Ok(found.clone());
    }
    match (tunnels.pop(), tunnels.len()) {
        (Some(tunnel), 0) => Ok(tunnel),
        (Some(_), _) => Err(Failure::new(
            Exit::NoSuch,
            "no_default_tunnel",
            "there are several tunnels and none is the default",
        )
        .hint("Name one, or choose the default: lonewire default NAME")
        .hint("See: lonewire list")),
        (None, _) => Err(no_tunnels()),
    }
}

fn no_tunnels() -> Failure {
    Failure::new(Exit::NoSuch, "no_tunnels", "there are no tunnels yet")
        .hint("Add one: lonewire import FILE.conf")
}

/// The tunnel that `word` means among these.
///
/// # Errors
/// `no_such_tunnel` with the nearest name, `ambiguous` with the names.
pub fn choose(tunnels: &[Tunnel], word: &str) -> Result<Tunnel, Failure> {
    let names: Vec<(&str, &str)> = tunnels
        .iter()
        .map(|tunnel| (&*tunnel.id, &*tunnel.info.name))
        .collect();
    match find(&names, word) {
        Found::One(index) => tunnels.get(index).cloned().ok_or_else(no_tunnels),
        Found::Several(indices) => Err(ambiguous("tunnels", word, &names, &indices)),
        Found::None if tunnels.is_empty() => Err(no_tunnels()),
        Found::None => {
            let failure = Failure::new(
                Exit::NoSuch,
                "no_such_tunnel",
                format!("there is no tunnel “{}”", printable(word)),
            );
            Err(match nearest(&names, word) {
                Some(name) => failure.hint(format!("Did you mean {}?", quoted(name))),
                None => failure.hint("See: lonewire list"),
            })
        }
    }
}

/// This name, or it with the first number behind it that none of the tunnels has.
pub fn free_name(tunnels: &[Tunnel], name: &TunnelName) -> TunnelName {
    let taken: Vec<String> = tunnels
        .iter()
        .map(|tunnel| fold(&tunnel.info.name))
        .collect();
    name.clone()
        .made_unique(|key| taken.iter().any(|one| one == key))
}

/// An app that was chosen.
#[derive(Debug, Clone)]
pub struct App {
    pub id: String,
    pub info: AppInfo,
}

/// The user's apps, the newest last; those that ended a short time ago too.
///
/// # Errors
/// The helper's.
pub fn apps(context: &Context) -> Result<Vec<App>, Failure> {
    let list = context.call(About::Nothing, async |client| client.apps().await)?;
    let mut apps: Vec<App> = list
        .into_iter()
        .map(|(id, info)| App { id, info })
        .collect();
    apps.sort_by_key(|app| app.info.since);
    Ok(apps)
}

/// The app that `word` means among these: an id, the first digits of one, a name or the pid of its first process. Ended ones only by
/// their id.
///
/// # Errors
/// `no_such_app`, `ambiguous`.
pub fn choose_app(apps: &[App], word: &str) -> Result<App, Failure> {
    if let Some(app) = apps.iter().find(|app| app.id == word) {
        return Ok(app.clone());
    }
    let live: Vec<&App> = apps
        .iter()
        .filter(|app| app.info.state != AppState::Ended)
        .collect();
    let by_pid = word
        .parse::<u32>()
        .ok()
        .and_then(|pid| live.iter().find(|app| app.info.pid == pid));
    if let Some(app) = by_pid {
        return Ok((*app).clone());
    }
    let names: Vec<(&str, &str)> = live.iter().map(|app| (&*app.id, &*app.info.name)).collect();
    match find(&names, word) {
        Found::One(index) => live
            .get(index)
            .map(|app| (*app).clone())
            .ok_or_else(|| no_app(&names, word)),
        Found::Several(indices) => Err(ambiguous("apps", word, &names, &indices)),
        Found::None => Err(no_app(&names, word)),
    }
}

fn no_app(names: &[(&str, &str)], word: &str) -> Failure {
    let failure = Failure::new(
        Exit::NoSuch,
        "no_such_app",
        format!("no app “{}” runs in a tunnel", printable(word)),
    );
    match nearest(names, word) {
        Some(name) => failure.hint(format!("Did you mean {}?", quoted(name))),
        None => failure.hint("See: lonewire ps"),
    }
}

/// How many of those that a word could mean are named.
const NAMED: usize = 8;

fn ambiguous(what: &str, word: &str, names: &[(&str, &str)], indices: &[usize]) -> Failure {
    let mut list = indices
        .iter()
        .take(NAMED)
        .filter_map(|index| names.get(*index))
        .map(|(id, name)| format!("{} ({})", quoted(name), short(id)))
        .collect::<Vec<_>>()
        .join(", ");
    if indices.len() > NAMED {
        list = format!("{list} and {} more", indices.len() - NAMED);
    }
    Failure::new(
        Exit::NoSuch,
        "ambiguous",
        format!("“{}” could be several {what}: {list}", printable(word)),
    )
    .hint("Say more of the name, or use the id.")
}

/// The part of an id that people are shown.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    One(usize),
    Several(Vec<usize>),
    None,
}

/// Whether an id and its name are meant.
type Matches<'a> = &'a dyn Fn(&(&str, &str)) -> bool;

/// Exact before prefix, names before ids; digits of an id count from the fourth on.
fn find(names: &[(&str, &str)], word: &str) -> Found {
    let wanted = fold(word);
    let is_hex = word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lower = word.to_ascii_lowercase();
    let tries: [Matches<'_>; 4] = [
        &|(id, _)| *id == lower,
        &|(_, name)| fold(name) == wanted,
        &|(_, name)| !wanted.is_empty() && fold(name).starts_with(&wanted),
        &|(id, _)| is_hex && id.starts_with(&lower),
    ];
    for matches in tries {
        let mut found: Vec<usize> = (0..names.len())
            .filter(|index| names.get(*index).is_some_and(matches))
            .collect();
        match (found.pop(), found.len()) {
            (None, _) => {}
            (Some(index), 0) => return Found::One(index),
            (Some(index), _) => {
                found.push(index);
                return Found::Several(found);
            }
        }
    }
    Found::None
}

/// The name that is nearest in letters, if one is near.
fn nearest<'a>(names: &[(&str, &'a str)], word: &str) -> Option<&'a str> {
    let wanted = fold(word);
    names
        .iter()
        .map(|(_, name)| (distance(&fold(name), &wanted), *name))
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

/// A name's key for comparing; what is no name is only put into lower case.
fn fold(word: &str) -> String {
    TunnelName::new(word).map_or_else(|_| word.to_lowercase(), |name| name.fold())
}

/// Letters to insert, delete, replace or swap with the next (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at =
                |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j) + usize::from(x != y))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Tunnel> {
        ["mullvad-se1", "mullvad-de2", "Home", "home-lab", "beef"]
            .iter()
            .enumerate()
            .map(|(index, name)| Tunnel {
                id: format!("{index}a{:030}", 0),
                info: TunnelInfo {
                    name: (*name).to_owned(),
                    ..TunnelInfo::default()
                },
            })
            .collect()
    }

    fn chosen(word: &str) -> Result<String, String> {
        choose(&some(), word)
            .map(|tunnel| tunnel.info.name)
            .map_err(|failure| failure.code)
    }

    #[test]
    fn a_whole_name_wins_over_one_that_begins_so() {
        assert_eq!(chosen("HOME").as_deref(), Ok("Home"));
        assert_eq!(chosen("home-").as_deref(), Ok("home-lab"));
        assert_eq!(chosen("beef").as_deref(), Ok("beef"));
    }

    #[test]
    fn an_id_and_its_first_digits_are_understood() {
        assert_eq!(
            chosen(&format!("1a{:030}", 0)).as_deref(),
            Ok("mullvad-de2")
        );
        assert_eq!(chosen("1a00").as_deref(), Ok("mullvad-de2"));
        assert_eq!(chosen("1a").unwrap_err(), "no_such_tunnel");
    }

    #[test]
    fn several_that_begin_so_are_all_named() {
        let failure = choose(&some(), "mull").unwrap_err();
        assert_eq!(
            (failure.code.as_str(), failure.exit as u8),
            ("ambiguous", 10)
        );
        assert!(failure.message.contains("mullvad-se1") && failure.message.contains("mullvad-de2"));
        assert_eq!(chosen("").unwrap_err(), "no_such_tunnel");
    }

    #[test]
    fn of_very_many_some_are_named() {
        let names: Vec<String> = (0..100).map(|number| format!("t{number}")).collect();
        let names: Vec<(&str, &str)> = names.iter().map(|name| ("0123456789", &**name)).collect();
        let all: Vec<usize> = (0..100).collect();
        let failure = ambiguous("tunnels", "t", &names, &all);
        assert!(
            failure.message.ends_with("t7 (01234567) and 92 more"),
            "{failure}"
        );
    }

    #[test]
    fn a_slip_of_the_finger_gets_a_suggestion() {
        let hints = |word| choose(&some(), word).unwrap_err().hints.join(" ");
        assert_eq!(hints("mulvad-se1"), "Did you mean mullvad-se1?");
        assert_eq!(hints("hoem"), "Did you mean Home?");
        assert_eq!(hints("zzzz"), "See: lonewire list");
        assert_eq!(distance("abcd", "acbd"), 1);
    }

    #[test]
    fn without_a_word_it_is_the_default_or_the_only_one() {
        let id = some()[2].id.clone();
        assert_eq!(only(some(), Some(&id)).unwrap().info.name, "Home");
        assert_eq!(only(some(), None).unwrap_err().code, "no_default_tunnel");
        assert_eq!(
            only(some()[..1].to_vec(), Some("gone")).unwrap().info.name,
            "mullvad-se1"
        );
        assert_eq!(only(Vec::new(), None).unwrap_err().code, "no_tunnels");
    }

    #[test]
    fn an_app_is_found_by_pid_name_and_id() {
        let app = |id: &str, name: &str, pid, state| App {
            id: id.to_owned(),
            info: AppInfo {
                name: name.to_owned(),
                pid,
                state,
                ..AppInfo::default()
            },
        };
        let apps = [
            app("aaaa1111", "curl", 10, AppState::Running),
            app("bbbb2222", "curl", 20, AppState::Ended),
        ];
        assert_eq!(choose_app(&apps, "10").unwrap().id, "aaaa1111");
        assert_eq!(choose_app(&apps, "curl").unwrap().id, "aaaa1111");
        assert_eq!(choose_app(&apps, "aaaa").unwrap().id, "aaaa1111");
        assert_eq!(choose_app(&apps, "bbbb2222").unwrap().id, "bbbb2222");
        assert_eq!(choose_app(&apps, "20").unwrap_err().code, "no_such_app");
        let hints = |word| choose_app(&apps, word).unwrap_err().hints.join(" ");
        assert_eq!(hints("crul"), "Did you mean curl?");
        assert_eq!(hints("zzzz"), "See: lonewire ps");
    }
}
