//! The page: HTML, style and script, part of the binary; the catalogue is written into the HTML once, at start.
//!
//! Invariants: nothing of it comes from another host, and no script or style is inline, so its policy can forbid both.

use std::fmt::Write as _;

use crate::catalogue::{Catalogue, Choice};

const HTML: &str = include_str!("page/index.html");
pub const STYLE: &str = include_str!("page/style.css");
pub const SCRIPT: &str = include_str!("page/script.js");
pub const PIPELINE: &str = include_str!("page/pipeline.js");
pub const ELEMENTS: &str = include_str!("page/elements.js");
pub const WORDS: &str = include_str!("page/words.js");
const CLUSTER: &str = include_str!("page/cluster.html");
pub const CLUSTER_STYLE: &str = include_str!("page/cluster.css");
pub const CLUSTER_SCRIPT: &str = include_str!("page/cluster.js");
pub const ICON: &str = include_str!("page/icon.svg");

/// What the words of the page are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    Services,
    /// A folder stands in for the services: the names of the old front stay, and the page says what they mean.
    Folder,
}

impl Ground {
    fn word(self) -> &'static str {
        match self {
            Ground::Services => "services",
            Ground::Folder => "folder",
        }
    }

    fn topic(self) -> &'static str {
        match self {
            Ground::Services => "a Kafka topic",
            Ground::Folder => "a topic of a local folder, which stands in for Kafka, MongoDB and HDFS",
        }
    }
}

/// The HTML with what the model knows.
pub fn render(catalogue: &Catalogue, ground: Ground, wait_seconds_max: u64) -> String {
    let months: Vec<String> = catalogue.months.iter().map(u32::to_string).collect();
    HTML.replace("{{carriers}}", &options(&catalogue.carriers))
        .replace("{{origins}}", &options(&catalogue.origins))
        .replace("{{dests}}", &options(&catalogue.dests))
        .replace("{{classes}}", &classes(catalogue))
        .replace("{{months}}", &months.join(" "))
        .replace("{{model_date}}", &escape(&catalogue.created))
        .replace("{{ground}}", ground.word())
        .replace("{{topic}}", ground.topic())
        .replace("{{wait_seconds_max}}", &wait_seconds_max.to_string())
}

/// The cluster page's HTML.
pub fn render_cluster(ground: Ground) -> String {
    CLUSTER.replace("{{ground}}", ground.word())
}

fn options(choices: &[Choice]) -> String {
    choices.iter().fold(String::new(), |mut html, Choice { code, name }| {
        let code = escape(code);
        let _ = match name {
            Some(name) => writeln!(html, r#"<option value="{code}">{} ({code})</option>"#, escape(name)),
            None => writeln!(html, r#"<option value="{code}">{code}</option>"#),
        };
        html
    })
}

fn classes(catalogue: &Catalogue) -> String {
    catalogue.classes.iter().fold(String::new(), |mut html, class| {
        let (label, meaning) = (escape(&class.label), escape(&class.meaning));
        let _ = writeln!(html, r#"<div class="class"><dt>{label}</dt><dd>{meaning}</dd></div>"#);
        html
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use crate::catalogue::Class;

    use super::*;

    #[test]
    fn names_cannot_become_html() {
        let choice = |name: &str| Choice { code: "X\"Y".into(), name: Some(name.into()) };
        let html = options(&[choice("<b>&"), Choice { code: "ZZ".into(), name: None }]);
        assert_eq!(
            html,
            "<option value=\"X&quot;Y\">&lt;b&gt;&amp; (X&quot;Y)</option>\n<option value=\"ZZ\">ZZ</option>\n"
        );
    }

    #[test]
    fn everything_is_filled_in_and_nothing_is_inline_or_elsewhere() {
        let catalogue = Catalogue {
            carriers: vec![],
            origins: vec![],
            dests: vec![],
            classes: vec![Class { label: "Early".into(), meaning: "m".into() }],
            created: "2013-12-31".into(),
            months: vec![1, 2],
        };
        let html = render(&catalogue, Ground::Services, 120);
        let folder = render(&catalogue, Ground::Folder, 120);
        assert!(html.contains("into a Kafka topic.") && folder.contains("stands in for Kafka"));
        let cluster = render_cluster(Ground::Folder);
        assert!(cluster.contains(r#"data-ground="folder""#));
        for absent in ["{{", "style=", "onclick", "http://", "https://", "<style"] {
            assert!(!html.contains(absent) && !cluster.contains(absent), "{absent}");
        }
        assert!(html.contains(r#"data-months="1 2""#) && html.contains(r#"data-wait-seconds-max="120""#));
    }
}
