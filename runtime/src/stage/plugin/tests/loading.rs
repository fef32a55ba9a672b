//! What is said of a file that is no plugin.

use super::*;

fn refused(name: &str, bytes: &[u8]) -> String {
    let file = std::env::temp_dir().join(format!("millrace-plugin-{name}-{}.wasm", std::process::id()));
    std::fs::write(&file, bytes).expect("a file of our own");
    let error = Program::load(&file, settings("")).expect_err("no plugin");
    std::fs::remove_file(&file).expect("a file of our own");
    match error {
        CannotLoad::Component(error) if error.file == file => error.message,
        error => panic!("{error:?}"),
    }
}

fn refused_text(name: &str, wat: &str) -> String {
    refused(name, &wat::parse_str(wat).expect("WebAssembly text"))
}

#[test]
fn what_is_no_component() {
    let text = refused("text", b"name = \"x\"");
    assert_eq!(text, "is not WebAssembly: a component is wanted, as `millrace plugin build` makes it");
    assert_eq!(refused("empty", b""), text);
    let module = refused_text("module", "(module)");
    assert_eq!(
        module,
        "is a WebAssembly module and no component: name the plugin's folder, or the file that `millrace plugin build` \
         makes in it"
    );
    let whole = std::fs::read(component("test-guest")).expect("the test guest");
    assert!(refused("cut", &whole[..whole.len() / 2]).starts_with("is not a valid component: "));
    let error = Program::load(Path::new("/nowhere.wasm"), settings("")).expect_err("no file");
    assert!(error.to_string().starts_with("/nowhere.wasm: cannot be read: "), "{error}");
}

#[test]
fn what_is_too_large_to_compile() {
    let function = format!("(component (core module (func {})))", "nop ".repeat((1 << 20) + 1));
    assert_eq!(
        refused_text("function", &function),
        "has a function of 1024 KiB, and 1024 is the most: cut it in parts"
    );
    let mut whole = std::fs::read(component("test-guest")).expect("the test guest");
    whole.resize((64 << 20) + 1, 0);
    assert_eq!(refused("large", &whole), "is larger than 64 MiB: build it without debug information");
}

#[test]
fn what_is_another_world() {
    let build = "build it by `millrace plugin build`, or for the world `plugin` of the contract (`millrace new plugin` has \
                 it)";
    assert_eq!(
        refused_text("empty-world", "(component)"),
        format!("exports nothing, where a plugin exports `millrace:plugin/transform@1.0.0`: {build}")
    );
    assert_eq!(
        refused_text("other-world", r#"(component (instance $i) (export "a:b/c" (instance $i)))"#),
        format!("is no plugin: it exports `a:b/c` and not `millrace:plugin/transform@1.0.0`: {build}")
    );
    let newer = r#"(component (instance $i) (export "millrace:plugin/transform@2.0.0" (instance $i)))"#;
    assert_eq!(
        refused_text("newer-export", newer),
        "exports `millrace:plugin/transform@2.0.0` where this millrace takes `millrace:plugin/transform@1.0.0`: it was \
         built for 2.0.0 of the contract, and this millrace has millrace:plugin@1.0.0. `millrace plugin renew FOLDER` gives \
         its folder the SDK of this millrace: then build it again; or take the millrace of it"
    );
}

#[test]
fn what_imports_more() {
    let import = |name: &str| format!(r#"(component (import "{name}" (instance)))"#);
    let wasi = refused_text("wasi", &import("wasi:clocks/monotonic-clock@0.2.0"));
    assert!(wasi.starts_with("imports `wasi:clocks/monotonic-clock@0.2.0`: a plugin has no WASI."), "{wasi}");
    let other = refused_text("other-import", &import("my:own/thing"));
    assert_eq!(
        other,
        "imports `my:own/thing`: a plugin gets nothing but `millrace:plugin/host@1.0.0`. Take what calls it out of the \
                plugin"
    );
    let newer = refused_text("newer-import", &import("millrace:plugin/host@1.1.0"));
    assert!(newer.contains("built for 1.1.0 of the contract"), "{newer}");
}

/// The right names and other types.
#[test]
fn what_has_another_shape() {
    let empty = r#"(component (instance $i) (export "millrace:plugin/transform@1.0.0" (instance $i)))"#;
    let empty = refused_text("shape-export", empty);
    assert!(
        empty.starts_with("does not fit the contract millrace:plugin@1.0.0: ") && empty.contains("describe"),
        "{empty}"
    );
    let log = r#"(component
        (import "millrace:plugin/host@1.0.0" (instance (export "log" (func (param "message" string)))))
        (instance $i) (export "millrace:plugin/transform@1.0.0" (instance $i)))"#;
    let log = refused_text("shape-import", log);
    assert!(
        log.starts_with("does not fit the contract millrace:plugin@1.0.0: ") && log.contains("host@1.0.0"),
        "{log}"
    );
}

/// What one hands to another is copied by the host, for no fuel.
#[test]
fn what_is_composed_of_several() {
    let inner = r#"(component (core module) (instance $i) (export "millrace:plugin/transform@1.0.0" (instance $i)))"#;
    let composed = refused_text("composed", &format!("(component {inner})"));
    assert!(composed.starts_with("is composed of several components"), "{composed}");
    // one that holds types alone, as tools make it
    let shim = refused_text("shim", "(component (component (type (func))) (core module))");
    assert!(shim.starts_with("exports nothing, where a plugin exports `millrace:plugin/transform@1.0.0`"), "{shim}");
}

#[test]
fn what_does_not_open() {
    let file = component("test-guest");
    let refused = |config: &str| {
        let said = Program::load(&file, settings(config)).expect_err(config).to_string();
        said.strip_prefix(&format!("{}: ", file.display())).expect("where it is").to_owned()
    };
    assert_eq!(refused("bad-config"), "does not accept its config: `/limit`: is not a number; no good ");
    assert_eq!(refused("twice-named"), "its signature is wrong: it adds `y` twice");
    assert_eq!(refused("nameless"), "its signature is wrong: it reads a column with a name of 0 bytes");
    assert!(
        refused("open-loop").starts_with("`open` does not come to an end: it took more than the 10000000000 units")
    );
    assert_eq!(refused("long-name"), "its signature is wrong: it adds a column with a name of 300 bytes");
    assert_eq!(refused("wide 1025"), "its signature is wrong: it reads 1025 columns, and 1024 is the most");
    assert_eq!(refused("open-memory"), "`open` failed: it wanted more than its 16 MiB of memory");
    let panicked = refused("open-panic");
    assert!(panicked.starts_with("`open` failed: ") && panicked.contains("no way to open"), "{panicked}");
}

#[test]
fn memory_bounds_the_instance_from_the_start() {
    let small = Settings { memory_mib_max: 1, ..settings("double") };
    let message =
        Program::load(&component("test-guest"), small).expect_err("a Rust guest has a stack of 1 MiB").to_string();
    let expected = "does not start: it wanted more than its 1 MiB of memory; raise the stage's `memory_mib_max`";
    assert!(message.ends_with(expected), "{message}");
}
