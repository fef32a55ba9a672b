//! What wasmtime makes of `plugins/wit`. Nothing else is in here.

// borrowed arguments: a column goes from Arrow's buffers into the guest's memory without a copy between
wasmtime::component::bindgen!({
    path: "../plugins/wit",
    world: "plugin",
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: { default: trappable },
    additional_derives: [PartialEq],
});
