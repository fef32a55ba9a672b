//! What wit-bindgen makes of `plugins/wit`. Nothing else is in here.

wit_bindgen::generate!({
    path: "../wit",
    world: "plugin",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "millrace_plugin::bindings",
    additional_derives: [PartialEq],
});
