#[path = "../runtime/commit.rs"]
mod commit;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=MILLRACE_GIT={}", commit::commit().unwrap_or_else(|| "unknown".to_owned()));
}
