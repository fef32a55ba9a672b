//! A headless Chromium, driven by the few commands of WebDriver that the tests need.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http;

pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
}

/// WebDriver's codes of keys.
pub const TAB: &str = "\u{E004}";
pub const ENTER: &str = "\u{E007}";

impl Browser {
    pub async fn start() -> Browser {
        let program = std::env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".into());
        let mut driver = Command::new(&program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; install chromium and chromium-driver"));
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port.expect("chromedriver says its port")));
        let mut browser = Browser { driver, address, session: String::new() };
        browser.session = browser.open().await;
        browser
    }

    async fn open(&self) -> String {
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--lang=en-US",
            "--hide-scrollbars",
        ];
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "timeouts": { "script": 60_000 },
        });
        let told = self.call("POST", "/session", &json!({ "capabilities": { "alwaysMatch": wanted } })).await;
        format!("/session/{}", told["sessionId"].as_str().expect("a session"))
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = http::json(self.address, method, &format!("{}{path}", self.session), body).await;
        assert_eq!(answer.code, 200, "{path} {body}: {}", answer.text);
        answer.json()["value"].take()
    }

    pub async fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url })).await;
    }

    pub async fn reload(&self) {
        self.call("POST", "/refresh", &json!({})).await;
    }

    /// A function's body, and what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression is true, looking again at every change of the page.
    pub async fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[0]; const look = () => ({expression}) && (seen.disconnect(), done(true)); \
             const seen = new MutationObserver(look); \
             seen.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }}); \
             look();"
        );
        self.call("POST", "/execute/async", &json!({ "script": script, "args": [] })).await;
    }

    pub async fn keys(&self, keys: &str) {
        let each = keys
            .chars()
            .flat_map(|key| [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]);
        let actions = json!([{ "type": "key", "id": "keyboard", "actions": each.collect::<Vec<_>>() }]);
        self.call("POST", "/actions", &json!({ "actions": actions })).await;
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        self.call("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": params })).await
    }

    pub async fn look(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Where the person is, for a clock.
    pub async fn live_in(&self, zone: &str) {
        self.devtools("Emulation.setTimezoneOverride", json!({ "timezoneId": zone })).await;
    }

    /// The whole page, into the folder of the repository that MILLRACE_SCREENSHOTS names, if it does.
    pub async fn screenshot(&self, name: &str) {
        let Ok(folder) = std::env::var("MILLRACE_SCREENSHOTS") else { return };
        let how = json!({ "captureBeyondViewport": true, "format": "webp", "quality": 60 });
        let shot = self.devtools("Page.captureScreenshot", how).await;
        let picture = STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("base64");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
        std::fs::write(root.join(folder).join(format!("{name}.webp")), picture).expect("the folder is there");
    }

    pub async fn accessibility(&self) -> Value {
        self.devtools("Accessibility.getFullAXTree", json!({})).await
    }

    /// Addresses of all requests so far.
    pub async fn requested(&self) -> Vec<String> {
        let log = self.call("POST", "/se/log", &json!({ "type": "performance" })).await;
        let entries = log.as_array().expect("a log").iter();
        let events = entries.map(|entry| serde_json::from_str::<Value>(entry["message"].as_str().unwrap()).unwrap());
        let sent = events.filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        sent.map(|event| event["message"]["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// What the page complained of on the console.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.call("POST", "/se/log", &json!({ "type": "browser" })).await;
        log.as_array().expect("a log").iter().map(|entry| entry["message"].to_string()).collect()
    }

    pub async fn close(self) {
        self.call("DELETE", "", &json!({})).await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
