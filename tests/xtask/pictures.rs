//! `cargo xtask pictures`: the window's every page in every look and language, for people to look at.

use std::{
    fs,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use anyhow::{Result, ensure};
use lab::{
    desktop::{Look, picture, tour::Tour},
    programs, words,
};

use crate::{build, setup};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which looks: `light`, `dark`, `high-contrast`, `large-text`, `narrow`, `mirrored`, or a language; all, if none is named.
    looks: Vec<String>,
}

/// Desktops at a time.
const AT_ONCE: usize = 2;
/// The least that the window is made for.
const NARROW: (u32, u32) = (360, 294);

/// Takes them, and says where they are.
///
/// # Errors
/// A page cannot be reached.
pub fn run(arguments: &Arguments) -> Result<()> {
    setup::require()?;
    build::build(false)?;
    let mut looks = looks()?;
    for name in &arguments.looks {
        let is_known = looks.iter().any(|(known, _)| known == name);
        ensure!(is_known, "no look {name}");
    }
    looks.retain(|(name, _)| arguments.looks.is_empty() || arguments.looks.contains(name));
    let left = Mutex::new(looks);
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some((name, look)) = lock(&left).pop() {
            let began = Instant::now();
            match take(&name, &look) {
                Ok(count) => println!("{name}: {count} in {} s", began.elapsed().as_secs()),
                Err(error) => {
                    // What follows is all that the window has.
                    let told = format!("{error:#}");
                    let first = told.lines().next().unwrap_or_default();
                    lock(&failed).push(format!("{name}: {first}"));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    println!("{}", picture::folder()?.display());
    let failed = lock(&failed);
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn lock<T>(what: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One walk; how many pictures.
fn take(name: &str, look: &Look) -> Result<usize> {
    // Those of before may have other numbers.
    let folder = picture::folder()?.join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut count = 0;
    Tour::new(look)?.walk(&mut |page, window| {
        count += 1;
        window.picture(&format!("{name}/{count:02}-{page}"))
    })?;
    Ok(count)
}

fn looks() -> Result<Vec<(String, Look)>> {
    let plain = Look::sized(900, 700);
    let mut looks = vec![
        ("light".to_owned(), plain.clone()),
        (
            "dark".to_owned(),
            Look {
                dark: true,
                ..plain.clone()
            },
        ),
        (
            "high-contrast".to_owned(),
            Look {
                high_contrast: true,
                ..plain.clone()
            },
        ),
        (
            "large-text".to_owned(),
            Look {
                large_text: true,
                ..plain.clone()
            },
        ),
        ("narrow".to_owned(), Look::sized(NARROW.0, NARROW.1)),
        (
            "mirrored".to_owned(),
            Look {
                mirrored: true,
                ..plain.clone()
            },
        ),
    ];
    for language in words::languages(&programs::project())? {
        let look = Look {
            language: Some(language.clone()),
            ..plain.clone()
        };
        looks.push((language, look));
    }
    Ok(looks)
}
