#[path = "../xgboost-sys/folder.rs"]
mod folder;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    folder::rpath("../..");
}
