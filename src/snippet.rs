//! A decision as HTML: an inline script that pushes `identify`, and HubSpot's own loader.
//!
//! The script guards what the decision could not know: that a page may run late, come out of a cache,
//! or be shown again by Turbo. `snippet.js` says how.

use std::fmt::Write;
use std::sync::LazyLock;
use std::time::Duration;

use crate::decision::Decision;
use crate::event::Millis;

/// What a page needs besides the decision.
pub(crate) struct Page<'a> {
    pub(crate) portal: i64,
    pub(crate) loader_host: &'a str,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) rendered_at: Millis,
    pub(crate) deadline: Duration,
}

/// The guard's source without comments and indentation.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let lines = include_str!("snippet.js").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).collect::<Vec<_>>().join("\n")
});

impl Page<'_> {
    pub(crate) fn render(&self, decision: &Decision<'_>) -> String {
        let mut html = String::with_capacity(SCRIPT.len() + 640);
        html.push_str("<script");
        self.push_nonce(&mut html);
        html.push('>');
        html.push_str(&SCRIPT);
        html.push_str("(window,document,{");
        let deadline = self.deadline.as_millis();
        write!(
            html,
            "\"at\":{},\"ttl\":{deadline},\"src\":\"//{}/{}.js\"",
            self.rendered_at, self.loader_host, self.portal
        )
        .expect("a String takes all that is written to it");
        if let Some(id) = decision.id {
            // As text: JavaScript's numbers lose digits above 2^53.
            write!(html, ",\"id\":\"{id}\"").expect("a String takes all that is written to it");
        }
        if let Some(email) = decision.email {
            html.push_str(",\"email\":");
            push_json_string(&mut html, email);
        }
        html.push_str("});</script>\n<script type=\"text/javascript\" id=\"hs-script-loader\" async defer");
        // Turbo runs body scripts again on every visit; the loader belongs to the document.
        html.push_str(" data-turbo-eval=\"false\" data-turbolinks-eval=\"false\"");
        self.push_nonce(&mut html);
        write!(html, " src=\"//{}/{}.js\"></script>", self.loader_host, self.portal)
            .expect("a String takes all that is written to it");
        html
    }

    fn push_nonce(&self, html: &mut String) {
        if let Some(nonce) = self.nonce {
            html.push_str(" nonce=\"");
            for c in nonce.chars() {
                match c {
                    '&' => html.push_str("&amp;"),
                    '<' => html.push_str("&lt;"),
                    '>' => html.push_str("&gt;"),
                    '"' => html.push_str("&quot;"),
                    c => html.push(c),
                }
            }
            html.push('"');
        }
    }
}

/// JSON that is safe inside `<script>`: no `</script>`, no `<!--`, no entity, and no U+2028 or U+2029,
/// which end a line in old JavaScript.
fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}' => push_escape(out, c),
            c if c.is_control() => push_escape(out, c),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn push_escape(out: &mut String, c: char) {
    write!(out, "\\u{:04x}", c as u32).expect("a String takes all that is written to it");
}

/// Letters, digits, dots and hyphens: what may stand in a URL's host without escaping.
pub(crate) fn is_host(text: &str) -> bool {
    !text.is_empty() && text.len() <= 253 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Reason;
    use crate::identity::Vid;

    const PAGE: Page<'static> = Page {
        portal: 62515,
        loader_host: "js.hs-scripts.com",
        nonce: Some("r4nd\"om"),
        rendered_at: 1_700_000_000_000,
        deadline: Duration::from_secs(10),
    };

    fn named(email: &str) -> String {
        let id = Vid::try_from(i64::MAX).ok();
        PAGE.render(&Decision { email: Some(email), id, reason: Reason::Agreed })
    }

    #[test]
    fn whatever_an_email_holds_it_stays_inside_its_string() {
        let html = named("\"</script><!--&'\u{2028}\u{2029}\\@x.test");
        let json = r#""email":"\"\u003c/script\u003e\u003c!--\u0026\u0027\u2028\u2029\\@x.test"});"#;
        assert!(html.contains(json), "{html}");
        assert_eq!(html.matches("</script>").count(), 2, "its own two and no third");
    }

    #[test]
    fn a_page_says_only_what_the_decision_says() {
        assert!(named("a@x.test").contains(r#""id":"9223372036854775807","email":"a@x.test"}"#));
        let id = Vid::try_from(5).ok();
        let html = PAGE.render(&Decision { email: None, id, reason: Reason::EmailDiffers });
        assert!(html.contains(r#","id":"5"})"#) && !html.contains("\"email\":"));
        let html = PAGE.render(&Decision { email: None, id: None, reason: Reason::NotLinked });
        assert!(!html.contains("\"id\":") && !html.contains("\"email\":"));
    }

    #[test]
    fn both_scripts_carry_the_nonce_and_the_loader_is_the_portal_s() {
        let html = named("a@x.test");
        assert_eq!(html.matches(" nonce=\"r4nd&quot;om\"").count(), 2);
        assert!(html.contains(" src=\"//js.hs-scripts.com/62515.js\"></script>"));
    }

    #[test]
    fn the_guard_is_sent_without_its_comments() {
        assert!(!SCRIPT.contains("//") && SCRIPT.len() < 1600, "{} bytes", SCRIPT.len());
    }

    #[test]
    fn a_host_is_only_a_host() {
        assert!(is_host("js-eu1.hs-scripts.com"));
        for text in ["", "a/b", "a\"b", "a b", "a:1", "é.test"] {
            assert!(!is_host(text), "{text}");
        }
    }
}
