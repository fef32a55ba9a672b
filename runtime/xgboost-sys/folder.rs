// Where libxgboost.so is: for this crate's build script, and for those of the packages whose programs load it (an
// rpath is only given to the package whose build script asks for it).

use std::path::PathBuf;

const FILE: &str = "libxgboost.so";

/// `manifest_up` leads from the package's folder to the workspace's.
pub fn find(manifest_up: &str) -> Result<PathBuf, String> {
    println!("cargo::rerun-if-env-changed=XGBOOST_LIB_DIR");
    let folder = match std::env::var_os("XGBOOST_LIB_DIR").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => package()?.join(manifest_up).join(".millrace/xgboost/xgboost/lib"),
    };
    let library = folder.join(FILE);
    println!("cargo::rerun-if-changed={}", library.display());
    let folder = folder.canonicalize().ok().filter(|folder| folder.join(FILE).is_file());
    folder.ok_or_else(|| {
        format!(
            "XGBoost 3.4.1 is needed, and {} is not there. Run `./dev build`, which fetches it (the wheel xgboost-cpu \
             3.4.1, by pip), or set XGBOOST_LIB_DIR to the folder that has {FILE}.",
            library.display()
        )
    })
}

fn package() -> Result<PathBuf, String> {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).ok_or_else(|| "run this through cargo".to_owned())
}

/// The programs and tests of this package find the library where it was linked; once installed, in `lib` beside their
/// `bin`: the library by itself, or the whole wheel, as `./dev install` puts it there.
#[allow(dead_code)]
pub fn rpath(manifest_up: &str) {
    match find(manifest_up) {
        Ok(folder) => {
            println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
            println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib:$ORIGIN/../lib/millrace/xgboost/lib");
        }
        Err(sentence) => println!("cargo::error={sentence}"),
    }
}
