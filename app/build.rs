//! Puts the `.ui` files, the style and the icons into the program, as one GResource.

fn main() {
    // Icons that are installed too are in `data`.
    glib_build_tools::compile_resources(
        &["src", "../data/icons"],
        "src/lonewire.gresource.xml",
        "lonewire.gresource",
    );
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=../data/icons");
}
