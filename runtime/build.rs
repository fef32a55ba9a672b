mod commit;
#[path = "xgboost-sys/folder.rs"]
mod folder;

use std::fs;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    folder::rpath("..");
    println!("cargo::rustc-env=MILLRACE_GIT={}", commit::commit().unwrap_or_else(|| "unknown".to_owned()));
    println!("cargo::rustc-env=MILLRACE_WASMTIME={}", locked("wasmtime").unwrap_or_else(|| "unknown".to_owned()));
}

fn locked(package: &str) -> Option<String> {
    println!("cargo::rerun-if-changed=../Cargo.lock");
    let lock = fs::read_to_string("../Cargo.lock").ok()?;
    let (_, after) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    after.split('"').next().map(str::to_owned)
}
