//! A decision as HTML: an inline script that pushes `identify`, and HubSpot's own loader.
//!
//! The script guards what the decision could not know: that a page may run late, come out of a cache,
//! or be shown again by Turbo. `snippet.js` says how.

use std::fmt::{self, Write};
use std::sync::LazyLock;
use std::time::Duration;

use crate::decision::Decision;
use crate::error::{Error, Result};
use crate::event::Millis;

/// What all pages of one cache have in common, put together once.
pub(crate) struct Template {
    /// The deadline and the loader's address, as the script's data has them.
    settings: Box<str>,
    /// The loader's element, from behind its nonce on.
    loader: Box<str>,
}

impl Template {
    pub(crate) fn new(portal: i64, loader_host: &str, deadline: Duration) -> Self {
        let address = format!("//{loader_host}/{portal}.js");
        Self {
            settings: format!(",\"ttl\":{},\"src\":\"{address}\"", deadline.as_millis()).into(),
            loader: format!(" src=\"{address}\"></script>").into(),
        }
    }
}

/// What a page needs besides the decision.
pub(crate) struct Page<'a> {
    pub(crate) template: &'a Template,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) rendered_at: Millis,
}

/// The guard's source without comments and indentation, from the end of its tag on and up to the first of its data.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let lines = include_str!("snippet.js").lines().map(str::trim);
    let code = lines.filter(|line| !line.is_empty() && !line.starts_with("//")).collect::<Vec<_>>().join("\n");
    format!(">{code}(window,document,{{\"at\":")
});

/// From behind the data to the loader's nonce. Turbo runs body scripts again on every visit; the loader belongs to the document.
const LOADER: &str = "});</script>\n<script type=\"text/javascript\" id=\"hs-script-loader\" async defer \
                      data-turbo-eval=\"false\" data-turbolinks-eval=\"false\"";

impl Page<'_> {
    pub(crate) fn render(&self, decision: &Decision<'_>) -> String {
        let mut html = String::with_capacity(SCRIPT.len() + 640);
        self.write(decision, &mut html).expect("a String takes all that is written to it");
        html
    }

    /// The same into a buffer of the caller's, for C, without an allocation. Returns how many bytes it came to.
    pub(crate) fn render_into(&self, decision: &Decision<'_>, buffer: &mut [u8]) -> Result<usize> {
        let mut out = Fixed { buffer, needed: 0 };
        self.write(decision, &mut out).expect("what does not fit is counted");
        let Fixed { buffer, needed } = out;
        if needed > buffer.len() {
            // Half a script must not look like a whole one to a caller who does not look.
            buffer.fill(0);
            return Err(Error::BufferTooSmall { needed });
        }
        Ok(needed)
    }

    fn write(&self, decision: &Decision<'_>, html: &mut impl Write) -> fmt::Result {
        let mut digits = itoa::Buffer::new();
        html.write_str("<script")?;
        self.write_nonce(html)?;
        html.write_str(&SCRIPT)?;
        html.write_str(digits.format(self.rendered_at))?;
        html.write_str(&self.template.settings)?;
        if let Some(id) = decision.id {
            // As text: JavaScript's numbers lose digits above 2^53.
            html.write_str(",\"id\":\"")?;
            html.write_str(digits.format(id.get()))?;
            html.write_char('"')?;
        }
        if let Some(email) = decision.email {
            html.write_str(",\"email\":")?;
            write_json_string(html, email)?;
        }
        html.write_str(LOADER)?;
        self.write_nonce(html)?;
        html.write_str(&self.template.loader)
    }

    fn write_nonce(&self, html: &mut impl Write) -> fmt::Result {
        let Some(nonce) = self.nonce else { return Ok(()) };
        html.write_str(" nonce=\"")?;
        if nonce.bytes().any(|byte| matches!(byte, b'&' | b'<' | b'>' | b'"')) {
            for c in nonce.chars() {
                match c {
                    '&' => html.write_str("&amp;")?,
                    '<' => html.write_str("&lt;")?,
                    '>' => html.write_str("&gt;")?,
                    '"' => html.write_str("&quot;")?,
                    c => html.write_char(c)?,
                }
            }
        } else {
            // A nonce is base64.
            html.write_str(nonce)?;
        }
        html.write_char('"')
    }
}

/// A buffer that cannot grow, and how many bytes it should have had.
struct Fixed<'b> {
    buffer: &'b mut [u8],
    needed: usize,
}

impl Write for Fixed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.needed + text.len();
        if let Some(place) = self.buffer.get_mut(self.needed..end) {
            place.copy_from_slice(text.as_bytes());
        }
        self.needed = end;
        Ok(())
    }
}

/// JSON that is safe inside `<script>`: no `</script>`, no `<!--`, no entity, and no U+2028 or U+2029,
/// which end a line in old JavaScript.
fn write_json_string(out: &mut impl Write, text: &str) -> fmt::Result {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | b'\'');
    out.write_char('"')?;
    if text.bytes().all(is_plain) {
        out.write_str(text)?; // As nearly every email is.
    } else {
        for c in text.chars() {
            match c {
                '"' => out.write_str("\\\"")?,
                '\\' => out.write_str("\\\\")?,
                '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}' => write_escape(out, c)?,
                c if c.is_control() => write_escape(out, c)?,
                c => out.write_char(c)?,
            }
        }
    }
    out.write_char('"')
}

fn write_escape(out: &mut impl Write, c: char) -> fmt::Result {
    write!(out, "\\u{:04x}", c as u32)
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

    static TEMPLATE: LazyLock<Template> =
        LazyLock::new(|| Template::new(62515, "js.hs-scripts.com", Duration::from_secs(10)));

    fn page() -> Page<'static> {
        Page { template: &TEMPLATE, nonce: Some("r4nd\"om"), rendered_at: 1_700_000_000_000 }
    }

    fn named(email: &str) -> String {
        let id = Vid::try_from(i64::MAX).ok();
        page().render(&Decision { email: Some(email), id, reason: Reason::Agreed })
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
        let html = page().render(&Decision { email: None, id, reason: Reason::EmailDiffers });
        assert!(html.contains(r#","id":"5"})"#) && !html.contains("\"email\":"));
        let html = page().render(&Decision { email: None, id: None, reason: Reason::NotLinked });
        assert!(!html.contains("\"id\":") && !html.contains("\"email\":"));
    }

    #[test]
    fn a_buffer_gets_the_same_or_is_said_to_be_too_small_and_left_empty() {
        let decision =
            Decision { email: Some("\"\u{2028}ä@x.test"), id: Vid::try_from(7).ok(), reason: Reason::Agreed };
        let html = page().render(&decision);
        let mut buffer = [1; 4096];
        assert_eq!(page().render_into(&decision, &mut buffer), Ok(html.len()));
        assert_eq!(&buffer[..html.len()], html.as_bytes());
        for short in [0, 1, html.len() - 1] {
            let too_small = Err(Error::BufferTooSmall { needed: html.len() });
            assert_eq!(page().render_into(&decision, &mut buffer[..short]), too_small);
            assert!(buffer[..short].iter().all(|&byte| byte == 0));
        }
        assert_eq!(page().render_into(&decision, &mut buffer[..html.len()]), Ok(html.len()));
    }

    #[test]
    fn both_scripts_carry_the_nonce_and_the_loader_is_the_portal_s() {
        let html = named("a@x.test");
        assert_eq!(html.matches(" nonce=\"r4nd&quot;om\"").count(), 2);
        assert!(html.contains(" src=\"//js.hs-scripts.com/62515.js\"></script>"));
    }

    #[test]
    fn the_guard_is_sent_without_its_comments() {
        assert!(!SCRIPT.contains("//") && SCRIPT.len() < 1625, "{} bytes", SCRIPT.len());
    }

    #[test]
    fn a_host_is_only_a_host() {
        assert!(is_host("js-eu1.hs-scripts.com"));
        for text in ["", "a/b", "a\"b", "a b", "a:1", "é.test"] {
            assert!(!is_host(text), "{text}");
        }
    }
}
