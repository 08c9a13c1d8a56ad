//! What the window remembers of tunnels that the helper does not: which are favourites, when each was last used, which archive it came from, and the order
//! of the list. Lines in `$XDG_STATE_HOME/lonewire/tunnels`, by id. Losing it is no error; it never holds anything of a configuration.

use std::{
    cell::{Cell, RefCell},
    cmp::{Ordering, Reverse},
    collections::HashMap,
    fs,
    io::Write as _,
    path::PathBuf,
};

use gtk::glib;

/// Order of the list. Favourites are first in each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Name,
    Recent,
    State,
    Archive,
}

impl Sort {
    /// As in the file and in the menu.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Recent => "recent",
            Self::State => "state",
            Self::Archive => "archive",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Name, Self::Recent, Self::State, Self::Archive]
            .into_iter()
            .find(|sort| sort.as_str() == text)
    }
}

/// Of a tunnel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    pub is_favourite: bool,
    /// Unix time in milliseconds at which it was last turned on here; 0 never.
    pub used: u64,
    /// File name of the archive that it came from, or empty.
    pub archive: String,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Shelf {
    notes: RefCell<HashMap<String, Note>>,
    sort: Cell<Sort>,
    file: Option<PathBuf>,
}

impl Shelf {
    /// As it was kept.
    pub fn load() -> Self {
        let file = file();
        let shelf = Self::parse(&fs::read_to_string(&file).unwrap_or_default());
        Self {
            file: Some(file),
            ..shelf
        }
    }

    /// Lines that make no sense are as if they were not there.
    fn parse(text: &str) -> Self {
        let shelf = Self::default();
        let mut notes = HashMap::<String, Note>::new();
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some(what), Some(first)) = (words.next(), words.next()) else {
                continue;
            };
            let rest = words.next().unwrap_or_default();
            if what == "sort" {
                shelf.sort.set(Sort::parse(first).unwrap_or_default());
                continue;
            }
            let note = notes.entry(first.to_owned()).or_default();
            match what {
                "favourite" => note.is_favourite = true,
                "used" => note.used = rest.parse().unwrap_or(0),
                "archive" => rest.clone_into(&mut note.archive),
                _ => {}
            }
        }
        shelf.notes.replace(notes);
        shelf
    }

    fn text(&self) -> String {
        let notes = self.notes.borrow();
        let mut ids: Vec<_> = notes.keys().collect();
        ids.sort();
        let mut text = format!("sort {}\n", self.sort.get().as_str());
        for (id, note) in ids.into_iter().filter_map(|id| Some((id, notes.get(id)?))) {
            if note.is_favourite {
                text.push_str(&format!("favourite {id}\n"));
            }
            if note.used != 0 {
                text.push_str(&format!("used {id} {}\n", note.used));
            }
            if !note.archive.is_empty() {
                text.push_str(&format!("archive {id} {}\n", note.archive));
            }
        }
        text
    }

    /// All of it or nothing.
    fn save(&self) {
        let Some(file) = &self.file else { return };
        let write = || -> std::io::Result<()> {
            let folder = file.parent().ok_or(std::io::ErrorKind::InvalidInput)?;
            fs::create_dir_all(folder)?;
            let new = file.with_extension("new");
            let mut out = fs::File::create(&new)?;
            out.write_all(self.text().as_bytes())?;
            fs::rename(&new, file)
        };
        if let Err(error) = write() {
            glib::g_warning!("lonewire", "the list’s state is not kept: {error}");
        }
    }

    pub fn sort(&self) -> Sort {
        self.sort.get()
    }

    pub fn set_sort(&self, sort: Sort) {
        self.sort.set(sort);
        self.save();
    }

    pub fn is_favourite(&self, id: &str) -> bool {
        self.notes
            .borrow()
            .get(id)
            .is_some_and(|note| note.is_favourite)
    }

    pub fn set_favourite(&self, id: &str, on: bool) {
        self.note(id, |note| note.is_favourite = on);
    }

    /// It was turned on at a Unix time in milliseconds.
    pub fn used(&self, id: &str, now: u64) {
        self.note(id, |note| note.used = now);
    }

    /// File name of the archive that a tunnel came from, or empty.
    pub fn archive(&self, id: &str) -> String {
        let notes = self.notes.borrow();
        notes
            .get(id)
            .map(|note| note.archive.clone())
            .unwrap_or_default()
    }

    /// Tunnels came from an archive with this file name.
    pub fn came_from<'a>(&self, ids: impl IntoIterator<Item = &'a str>, archive: &str) {
        let one_line: String = archive
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        for id in ids {
            self.notes
                .borrow_mut()
                .entry(id.to_owned())
                .or_default()
                .archive
                .clone_from(&one_line);
        }
        self.save();
    }

    /// It is gone.
    pub fn forget(&self, id: &str) {
        if self.notes.borrow_mut().remove(id).is_some() {
            self.save();
        }
    }

    fn note(&self, id: &str, change: impl FnOnce(&mut Note)) {
        change(self.notes.borrow_mut().entry(id.to_owned()).or_default());
        self.save();
    }

    /// Which of two tunnels is above the other but for their names: id and rank of the state of each.
    pub fn compare(&self, one: (&str, u8), other: (&str, u8)) -> Ordering {
        let notes = self.notes.borrow();
        let none = Note::default();
        let (first, second) = (
            notes.get(one.0).unwrap_or(&none),
            notes.get(other.0).unwrap_or(&none),
        );
        let favourite = second.is_favourite.cmp(&first.is_favourite);
        favourite.then_with(|| match self.sort.get() {
            Sort::Name => Ordering::Equal,
            Sort::Recent => Reverse(first.used).cmp(&Reverse(second.used)),
            Sort::State => one.1.cmp(&other.1),
            // What came from none is last.
            Sort::Archive => (first.archive.is_empty(), &first.archive)
                .cmp(&(second.archive.is_empty(), &second.archive)),
        })
    }
}

fn file() -> PathBuf {
    // The bindings for the folder ask for a newer GLib than this window does.
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| glib::home_dir().join(".local/state"))
        .join("lonewire/tunnels")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_nonsense_is_left_out() {
        let shelf = Shelf::parse(
            "sort recent\nfavourite 0a\nused 0a 17\narchive 0b a b.zip\nmoon\nused 0c x\n",
        );
        assert_eq!(shelf.sort(), Sort::Recent);
        assert!(shelf.is_favourite("0a") && !shelf.is_favourite("0b"));
        assert_eq!(shelf.archive("0b"), "a b.zip");
        let text = shelf.text();
        assert_eq!(
            text,
            "sort recent\nfavourite 0a\nused 0a 17\narchive 0b a b.zip\n"
        );
        assert_eq!(Shelf::parse(&text).text(), text);
    }

    #[test]
    fn a_file_name_stays_on_its_line_and_what_is_gone_is_forgotten() {
        let shelf = Shelf::default();
        shelf.came_from(["0a"], "x\nsort state");
        assert_eq!(Shelf::parse(&shelf.text()).sort(), Sort::Name);
        shelf.forget("0a");
        assert_eq!(shelf.text(), "sort name\n");
    }

    #[test]
    fn favourites_are_first_then_the_order_that_was_chosen() {
        let shelf = Shelf::default();
        shelf.used("old", 5);
        shelf.used("new", 9);
        shelf.came_from(["old"], "b.zip");
        shelf.came_from(["new"], "a.zip");
        shelf.set_favourite("star", true);
        let mut orders = Vec::new();
        for sort in [Sort::Name, Sort::Recent, Sort::State, Sort::Archive] {
            shelf.set_sort(sort);
            let mut ids = [("none", 0), ("old", 1), ("new", 2), ("star", 9)];
            ids.sort_by(|one, other| shelf.compare(*one, *other));
            orders.push(ids.map(|(id, _)| id));
        }
        assert_eq!(
            orders,
            [
                ["star", "none", "old", "new"],
                ["star", "new", "old", "none"],
                ["star", "none", "old", "new"],
                ["star", "new", "old", "none"],
            ]
        );
    }
}
