//! The program; see the library.

fn main() -> gtk::glib::ExitCode {
    lonewire_gtk::run()
}
