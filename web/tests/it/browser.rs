//! The page in a headless Chromium, used by keyboard; the tests play the pipeline.

use serde_json::{Value, json};

use crate::pipeline::{Played, running};
use crate::rig::{Rig, Web};
use crate::webdriver::{Browser, ENTER, TAB};

pub fn page(web: &Web) -> String {
    format!("http://{}/flights/delays/predict_kafka", web.address)
}

pub async fn open(web: &Web) -> Browser {
    let browser = Browser::start().await;
    browser.look(1440, 900, "light").await;
    // far from UTC: no day moves (mistake 6)
    browser.live_in("Pacific/Kiritimati").await;
    browser.go(&page(web)).await;
    browser
}

pub async fn state(browser: &Browser, panel: &str, state: &str) {
    browser.until(&format!("document.getElementById('{panel}').dataset.state === '{state}'")).await;
}

pub async fn text(browser: &Browser, selector: &str) -> String {
    let script = format!("return document.querySelector({selector:?})?.innerText ?? ''");
    browser.run(&script).await.as_str().expect("text").to_owned()
}

/// Fills the form by keyboard alone, from the field that has the focus when the page was opened: none.
pub async fn fill(browser: &Browser) {
    // past the link that skips to the prediction, the one to the workers, and the example
    for keys in [TAB, TAB, TAB, TAB, "newa", TAB, "san", TAB, "united", TAB, "12242013", TAB] {
        browser.keys(keys).await;
    }
    // a date has a button that opens a calendar
    if browser.run("return document.activeElement.id").await == "FlightDate" {
        browser.keys(TAB).await;
    }
    for keys in ["1519", TAB, "14"] {
        browser.keys(keys).await;
    }
}

async fn fits(browser: &Browser) {
    let wide = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth").await;
    assert_eq!(wide, 0);
    // the pipeline's state is beside the brand, or below it
    let apart = "const [brand, state] = ['.brand', '#pipeline-state'].map((name) => \
                 document.querySelector(name).getBoundingClientRect()); \
                 return state.left >= brand.right || state.top >= brand.bottom";
    assert_eq!(browser.run(apart).await, true);
}

/// States whose colours matter are kept in both schemes at both widths, the others in one each.
const KEPT_IN_ALL: [&str; 3] = ["first", "answered", "pipeline-waiting"];

pub async fn everywhere(browser: &Browser, name: &str) {
    for (width, height) in [(1440, 900), (360, 740)] {
        for scheme in ["light", "dark"] {
            browser.look(width, height, scheme).await;
            fits(browser).await;
            if KEPT_IN_ALL.contains(&name) || [(1440, "light"), (360, "dark")].contains(&(width, scheme)) {
                browser.screenshot(&format!("{name}-{width}-{scheme}")).await;
            }
        }
    }
    browser.look(1440, 900, "light").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flight_is_asked_by_keyboard_and_answered_on_both_sides() {
    let played = Played::new(running(json!(0))).await;
    let mut rig = Rig::new("page-answered").await;
    rig.flag("pipeline-status", &played.url());
    let web = rig.web().await;
    let browser = open(&web).await;
    state(&browser, "pipeline", "running").await;
    everywhere(&browser, "first").await;
    fill(&browser).await;
    assert_eq!(text(&browser, "#FlightDate-hint").await, "The model saw no flights of December.");
    browser.keys(ENTER).await;
    state(&browser, "kafka", "waiting").await;
    state(&browser, "mongo", "waiting").await;

    let request = rig.next_request();
    let typed =
        ["Origin", "Dest", "Carrier", "FlightDate", "FlightNum", "DepDelay"].map(|field| request[field].clone());
    assert_eq!(json!(typed), json!(["EWR", "SFO", "UA", "2013-12-24", "1519", 14.0]));
    let id = request["UUID"].as_str().expect("an id");
    everywhere(&browser, "waiting").await;

    rig.answer(id, 2).await;
    state(&browser, "kafka", "answered").await;
    assert_eq!(browser.run("return document.getElementById('mongo').dataset.state").await, "waiting");
    rig.store(id, 2).await;
    state(&browser, "mongo", "answered").await;
    let said = "From MongoDB: Slightly Late (0-30 Minute Delay)";
    browser.until(&format!("document.getElementById('announcer').textContent.includes('{said}')")).await;
    for panel in ["#kafka", "#mongo"] {
        assert_eq!(text(&browser, &format!("{panel} .verdict")).await, "Slightly Late (0-30 Minute Delay)");
        let meaning = text(&browser, &format!("{panel} .meaning")).await;
        assert_eq!(meaning, "Arrives on time, or less than 30 minutes late.");
        assert!(
            text(&browser, &format!("{panel} .note")).await.starts_with("December was not in the model's training")
        );
        assert_eq!(text(&browser, &format!("{panel} .chosen .share")).await, "45.0 %");
        assert!(text(&browser, &format!("{panel} .facts")).await.contains("2586 miles"));
    }
    everywhere(&browser, "answered").await;

    // the bars are drawn: their policy lets no style in that is inline
    let bar = "return document.querySelector('#kafka .chosen .bar').getBoundingClientRect().width > 20";
    assert_eq!(browser.run(bar).await, true);
    // a reload, and the list of this browser, show the flight again
    browser.reload().await;
    state(&browser, "kafka", "answered").await;
    let listed = text(&browser, "#recent-list").await;
    assert!(listed.contains("UA 1519 EWR–SFO, 2013-12-24, 14 min late"), "{listed}");
    assert!(listed.contains("Slightly Late"), "{listed}");

    let own = format!("http://{}/", web.address);
    // the browser draws its own icons from `data:`, which is no request to anybody
    let outside = |url: &String| !url.starts_with(&own) && !url.starts_with("data:");
    let requested = browser.requested().await;
    assert!(requested.len() > 5, "{requested:?}");
    let elsewhere: Vec<_> = requested.into_iter().filter(outside).collect();
    assert_eq!(elsewhere, Vec::<String>::new());
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_wrong_is_said_beside_its_field() {
    let rig = Rig::new("page-invalid").await;
    let web = rig.web().await;
    let browser = open(&web).await;
    browser.run("document.getElementById('send').focus()").await;
    browser.keys(ENTER).await;
    browser.until("document.activeElement.id === 'Origin'").await;
    let faulty = "return [...document.querySelectorAll('[aria-invalid]')].map((field) => field.name)";
    assert_eq!(browser.run(faulty).await, json!(["Origin", "Dest", "Carrier", "FlightDate"]));
    assert_eq!(text(&browser, "#Carrier-error").await, "Choose a carrier.");
    everywhere(&browser, "invalid").await;
    let tied = browser.accessibility().await;
    assert_eq!(described(&tied, "From"), "Choose the airport that the flight goes from.");

    fill_from_first(&browser).await;
    // the server has the last word, and its faults are shown in the same places
    browser.run("document.getElementById('FlightNum').value = '1519'; Number.isNaN = () => false;").await;
    browser.run("const late = document.getElementById('DepDelay'); late.value = 'soon'; late.focus();").await;
    browser.keys(ENTER).await;
    browser.until("document.getElementById('DepDelay-error').textContent !== ''").await;
    assert!(text(&browser, "#DepDelay-error").await.starts_with("A number of minutes"));
    assert_eq!(browser.run(faulty).await, json!(["DepDelay"]));
    browser.close().await;
    web.stop().await;
}

async fn fill_from_first(browser: &Browser) {
    for keys in ["newa", TAB, "san", TAB, "united", TAB, "03242013"] {
        browser.keys(keys).await;
    }
}

/// What a screen reader says of a field beside its name.
fn described(tree: &Value, name: &str) -> String {
    let nodes = tree["nodes"].as_array().expect("nodes");
    let node = nodes.iter().find(|node| node["name"]["value"] == name && node["role"]["value"] == "combobox");
    node.expect("the field")["description"]["value"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_flight_is_shown_as_refused() {
    let played = Played::new(running(json!(0))).await;
    let mut rig = Rig::new("page-rejected").await;
    rig.flag("pipeline-status", &played.url());
    let web = rig.web().await;
    let browser = open(&web).await;
    fill(&browser).await;
    browser.keys(ENTER).await;
    let request = rig.next_request();
    rig.reject(request["UUID"].as_str().expect("an id")).await;
    for panel in ["kafka", "mongo"] {
        state(&browser, panel, "rejected").await;
        let reason = text(&browser, &format!("#{panel} .meaning")).await;
        assert_eq!(reason, "No distance is known from JFK to SFO.");
    }
    everywhere(&browser, "refused").await;
    browser.close().await;
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_4_a_page_does_not_wait_for_ever() {
    let mut rig = Rig::new("page-failed").await;
    rig.flag("page-wait-seconds-max", "5");
    let web = rig.web().await;
    let browser = open(&web).await;
    fill(&browser).await;
    browser.keys(ENTER).await;
    let request = rig.next_request();
    let id = request["UUID"].as_str().expect("an id");
    for panel in ["kafka", "mongo"] {
        state(&browser, panel, "failed").await;
        assert!(text(&browser, &format!("#{panel} .meaning")).await.starts_with("No answer within 5 s."));
    }
    everywhere(&browser, "no-answer").await;
    rig.answer(id, 0).await;
    rig.store(id, 0).await;
    browser.run("document.querySelector('#kafka button').focus()").await;
    browser.keys(ENTER).await;
    state(&browser, "kafka", "answered").await;
    state(&browser, "mongo", "answered").await;

    browser.go(&format!("{}#nobodys", page(&web))).await;
    for panel in ["kafka", "mongo"] {
        browser
            .until(&format!("document.querySelector('#{panel} .meaning')?.textContent.startsWith('No flight with')"))
            .await;
    }
    browser.close().await;
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistake_5_a_page_that_listens_hears_the_answer_over_a_restart_of_the_web_module() {
    let mut rig = Rig::new("page-restart").await;
    let web = rig.web().await;
    let browser = open(&web).await;
    fill(&browser).await;
    browser.keys(ENTER).await;
    state(&browser, "kafka", "waiting").await;
    let request = rig.next_request();
    rig.flag("listen", &web.address.to_string());
    web.stop().await;
    rig.answer(request["UUID"].as_str().expect("an id"), 3).await;
    let web = rig.web().await;
    state(&browser, "kafka", "answered").await;
    assert_eq!(text(&browser, "#kafka .verdict").await, "Very Late (30+ Minutes Late)");
    assert_eq!(browser.run("return document.getElementById('mongo').dataset.state").await, "waiting");
    browser.close().await;
    web.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_is_said_on_the_page() {
    let mut rig = Rig::new("page-away").await;
    rig.flag("brokers", "127.0.0.1:1");
    let web = rig.web().await;
    let browser = open(&web).await;
    fill(&browser).await;
    browser.keys(ENTER).await;
    browser.until("document.getElementById('form-failure').textContent !== ''").await;
    assert!(text(&browser, "#form-failure").await.starts_with("Kafka did not confirm that it has the flight"));
    assert_eq!(browser.run("return document.getElementById('kafka').dataset.state").await, "idle");
    browser.close().await;
    web.stop().await;
}
