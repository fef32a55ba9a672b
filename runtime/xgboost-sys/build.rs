mod folder;

use std::path::Path;

/// What the library calls itself, and what a program therefore asks the loader for. A wheel has no file of that name.
const LOADED_AS: &str = "libxgboost.so.3";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=folder.rs");
    match folder::find("../..").and_then(|folder| name_as_loaded(&folder).map(|()| folder)) {
        Ok(folder) => {
            println!("cargo::rustc-link-search=native={}", folder.display());
            println!("cargo::rustc-link-lib=dylib=xgboost");
        }
        Err(sentence) => println!("cargo::error={sentence}"),
    }
}

fn name_as_loaded(folder: &Path) -> Result<(), String> {
    let link = folder.join(LOADED_AS);
    match std::os::unix::fs::symlink("libxgboost.so", &link) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(format!("{} cannot be made as a link to libxgboost.so: {error}", link.display())),
    }
}
