//! A decision on a page: as HTML, an inline script and HubSpot's own loader, or as the script's data alone, in JSON,
//! for a page that an app makes itself.
//!
//! The script guards what the decision could not know: that a page may run late, come out of a cache, be shown again by
//! Turbo, or that HubSpot's tracker keeps what it was told. `snippet.js` says how; `snippet.min.js` is made of it by
//! `page/build`.

use std::fmt::{self, Write};
use std::sync::LazyLock;
use std::time::Duration;

use crate::decision::Decision;
use crate::error::{Error, Result};
use crate::event::Millis;

/// What all pages of one cache have in common, put together once.
pub(crate) struct Template {
    /// The deadline, as the script's data has it.
    ttl: Box<str>,
    /// The deadline and the loader's address, the same.
    ttl_and_src: Box<str>,
    /// All that comes behind the script's data where there is no nonce.
    end: Box<str>,
}

impl Template {
    pub(crate) fn new(portal: i64, loader_host: &str, deadline: Duration) -> Self {
        let address = format!("//{loader_host}/{portal}.js");
        let ttl = format!(",\"ttl\":{}", deadline.as_millis());
        Self {
            ttl_and_src: format!("{ttl},\"src\":\"{address}\"").into(),
            ttl: ttl.into(),
            end: format!("{LOADER} src=\"{address}\"></script>").into(),
        }
    }

    /// The loader's element, from behind its nonce on.
    fn loader(&self) -> &str {
        &self.end[LOADER.len()..]
    }
}

/// A page that has begun: the time, read first, and what it may say, decided after that.
///
/// A page may name an email for so long after its time ([`Options::page_deadline`](crate::Options::page_deadline)). So
/// a page must never look younger than what it says, and only [`Vidcache::page`](crate::Vidcache::page) and its like
/// make one, which read the clock before they look. Render it at once, and once: a page that is shown twice is begun
/// twice.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    template: &'a Template,
    /// Milliseconds since 1970.
    at: Millis,
    decision: Decision<'a>,
    /// Whether the visitor has just signed out, so that the browser is to be told apart from the former user.
    signed_out: bool,
    /// For how many milliseconds after `at` it may name the email, where that is less than the template's deadline.
    left: Option<u64>,
}

impl<'a> Page<'a> {
    /// `at` is the clock as it was *before* the decision was made.
    #[inline]
    pub(crate) const fn new(template: &'a Template, at: Millis, decision: Decision<'a>) -> Self {
        Self { template, at, decision, signed_out: false, left: None }
    }

    pub(crate) const fn signed_out(template: &'a Template, at: Millis) -> Self {
        Self { template, at, decision: Decision::ANONYMOUS, signed_out: true, left: None }
    }

    /// A page whose knowledge is older than `at`, so that less is left of the deadline.
    #[cfg(any(test, feature = "database"))]
    pub(crate) fn with_left(template: &'a Template, at: Millis, decision: Decision<'a>, left: Duration) -> Self {
        let ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        Self { left: Some(ms), ..Self::new(template, at, decision) }
    }

    /// What the page says of the user, and why.
    #[inline]
    pub const fn decision(&self) -> Decision<'a> {
        self.decision
    }

    /// The HTML that puts the decision, and HubSpot's loader, on a page: two `<script>` elements. `nonce` is the page's
    /// Content-Security-Policy nonce.
    pub fn render(&self, nonce: Option<&str>) -> String {
        let mut html = String::with_capacity(SCRIPT.len() + 640);
        self.write(nonce, &mut html).expect("a String takes all that is written to it");
        html
    }

    /// [`Page::render`] into the caller's buffer, without an allocation. Returns how many bytes it came to.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`], and the buffer is zeroed: half a script must not look like a whole one.
    pub fn render_into(&self, nonce: Option<&str>, buffer: &mut [u8]) -> Result<usize> {
        let mut out = Fixed { buffer, needed: 0 };
        self.write(nonce, &mut out).expect("what does not fit is counted");
        let Fixed { buffer, needed } = out;
        if needed > buffer.len() {
            buffer.fill(0);
            return Err(Error::BufferTooSmall { needed });
        }
        Ok(needed)
    }

    /// What [`Page::render`] puts on a page, as JSON for a page that the app makes itself: `at`, the time at which this
    /// one began (ms since 1970), `ttl`, how long after that the email may be named (ms), and, where the decision has
    /// them, `id` (`"vid:901"`) and `email`; `out`, which is true, after a sign-out. It goes to `show` of
    /// `page/vidcache.js`, which keeps the email from being named late; an answer with it must not be cached
    /// (`Cache-Control: private, no-store`).
    pub fn data(&self) -> String {
        let mut json = String::with_capacity(128);
        let mut digits = itoa::Buffer::new();
        let at = digits.format(self.at);
        json.push_str("{\"at\":");
        self.write_data(at, &self.template.ttl, &mut json).expect("a String takes all that is written to it");
        json.push('}');
        json
    }

    /// In as few pieces as may be: each is a copy and a look at how much room there is.
    fn write(&self, nonce: Option<&str>, html: &mut impl Write) -> fmt::Result {
        // Turbo's morphing keeps a script that looks like the one before, and then does not run it; by its id each is
        // another.
        let mut digits = itoa::Buffer::new();
        let at = digits.format(self.at);
        html.write_str("<script id=\"v-")?;
        html.write_str(at)?;
        let Some(nonce) = nonce else {
            html.write_str(&SCRIPT)?;
            self.write_data(at, &self.template.ttl_and_src, html)?;
            return html.write_str(&self.template.end);
        };
        html.write_str("\"")?;
        write_nonce(nonce, html)?;
        html.write_str(&SCRIPT[1..])?;
        self.write_data(at, &self.template.ttl_and_src, html)?;
        html.write_str(LOADER)?;
        write_nonce(nonce, html)?;
        html.write_str(self.template.loader())
    }

    /// The script's data from behind `{"at":` on, up to its closing brace. `fixed`: what all pages have in common.
    fn write_data(&self, at: &str, fixed: &str, out: &mut impl Write) -> fmt::Result {
        out.write_str(at)?;
        match self.left {
            None => out.write_str(fixed)?,
            // The deadline of an answer that took its time is shorter; the rest, which all pages share, stands behind.
            Some(ms) => {
                out.write_str(",\"ttl\":")?;
                out.write_str(itoa::Buffer::new().format(ms))?;
                out.write_str(&fixed[self.template.ttl.len()..])?;
            }
        }
        if self.signed_out {
            out.write_str(",\"out\":true")?;
        }
        if let Some(id) = self.decision.id() {
            // As text: JavaScript's numbers lose digits above 2^53. With a prefix: portals have contacts that other
            // products have bound to bare numbers, and an id once bound cannot be renamed.
            out.write_str(",\"id\":\"vid:")?;
            out.write_str(itoa::Buffer::new().format(id.get()))?;
            out.write_str("\"")?;
        }
        if let Some(email) = self.decision.email() {
            out.write_str(",\"email\":\"")?;
            write_json_text(out, email)?;
            out.write_str("\"")?;
        }
        Ok(())
    }
}

/// From the end of the tag's id, where it has no nonce, up to the time in the data: the guard, in one piece.
static SCRIPT: LazyLock<String> =
    LazyLock::new(|| format!("\">({})(window,document,{{\"at\":", include_str!("snippet.min.js").trim_end()));

/// From the end of the data to the loader's nonce. Turbo runs body scripts again on every visit; the loader belongs to
/// the document.
const LOADER: &str = "});</script>\n<script id=\"hs-script-loader\" async defer \
                      data-turbo-eval=\"false\" data-turbolinks-eval=\"false\"";

fn write_nonce(nonce: &str, html: &mut impl Write) -> fmt::Result {
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

/// What stands between a JSON string's quotes, safe inside `<script>` in a page of any character set: what could end
/// the script or begin an entity, and all that is not ASCII, as escapes.
fn write_json_text(out: &mut impl Write, text: &str) -> fmt::Result {
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = b' ';
        while byte <= b'~' {
            plain[byte as usize] = !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | b'\'');
            byte += 1;
        }
        plain
    };
    let is_plain = |byte: u8| PLAIN[usize::from(byte)];
    // Without a branch for each byte: nearly every email is plain.
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        return out.write_str(text);
    }
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if is_plain(byte) => out.write_char(byte.into())?,
            _ => write!(out, "\\u{unit:04x}")?,
        }
    }
    Ok(())
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

    const NONCE: Option<&str> = Some("r4nd\"om");

    fn page<'e>(email: Option<&'e str>, id: i64, reason: Reason) -> Page<'e> {
        Page::new(&TEMPLATE, 1_700_000_000_000, Decision::untrue(email, Vid::new(id), reason))
    }

    fn named(email: &str) -> String {
        page(Some(email), i64::MAX, Reason::Agreed).render(NONCE)
    }

    #[test]
    fn whatever_an_email_holds_it_stays_inside_its_string() {
        let html = named("\"</script><!--&'\u{2028}\u{2029}\\@x.test");
        let json = r#""email":"\u0022\u003c/script\u003e\u003c!--\u0026\u0027\u2028\u2029\u005c@x.test"});"#;
        assert!(html.contains(json), "{html}");
        assert_eq!(html.matches("</script>").count(), 2, "its own two and no third");
    }

    #[test]
    fn a_page_says_only_what_the_decision_says() {
        assert!(named("a@x.test").contains(r#""id":"vid:9223372036854775807","email":"a@x.test"}"#));
        let html = page(None, 5, Reason::EmailDiffers).render(NONCE);
        assert!(html.contains(r#","id":"vid:5"});</script>"#) && !html.contains("\"email\":"));
        let html = page(None, 0, Reason::NotLinked).render(NONCE);
        assert!(!html.contains("\"id\":") && !html.contains("\"email\":"));
    }

    #[test]
    fn a_buffer_gets_the_same_or_is_said_to_be_too_small_and_left_empty() {
        let page = page(Some("\"\u{2028}ä@x.test"), 7, Reason::Agreed);
        let html = page.render(NONCE);
        let mut buffer = [1; 4096];
        assert_eq!(page.render_into(NONCE, &mut buffer), Ok(html.len()));
        assert_eq!(&buffer[..html.len()], html.as_bytes());
        for short in [0, 1, html.len() - 1] {
            let too_small = Err(Error::BufferTooSmall { needed: html.len() });
            assert_eq!(page.render_into(NONCE, &mut buffer[..short]), too_small);
            assert!(buffer[..short].iter().all(|&byte| byte == 0));
        }
        assert_eq!(page.render_into(NONCE, &mut buffer[..html.len()]), Ok(html.len()));
    }

    #[test]
    fn both_scripts_carry_the_nonce_and_the_loader_is_the_portal_s() {
        let html = named("a@x.test");
        assert_eq!(html.matches(" nonce=\"r4nd&quot;om\"").count(), 2);
        assert!(html.contains(" src=\"//js.hs-scripts.com/62515.js\"></script>"));
    }

    #[test]
    fn the_inline_script_with_its_data_takes_at_most_1_900_bytes() {
        let html = page(Some("ann@shop.test"), 901, Reason::Agreed).render(None);
        let inline = html.find("</script>").expect("the inline script ends") + "</script>".len();
        assert!(inline <= 1900 && html.is_ascii(), "{inline} bytes");
    }

    #[test]
    fn the_script_s_data_alone_is_json_of_what_the_decision_says() {
        let json = page(Some("jos\u{e9}\u{1f600}@x.test"), 901, Reason::Agreed).data();
        assert_eq!(json, r#"{"at":1700000000000,"ttl":10000,"id":"vid:901","email":"jos\u00e9\ud83d\ude00@x.test"}"#);
        let out = Page::signed_out(&TEMPLATE, 1_700_000_000_000).data();
        assert_eq!(out, r#"{"at":1700000000000,"ttl":10000,"out":true}"#);
    }

    #[test]
    fn a_host_is_only_a_host() {
        assert!(is_host("js-eu1.hs-scripts.com"));
        for text in ["", "a/b", "a\"b", "a b", "a:1", "é.test"] {
            assert!(!is_host(text), "{text}");
        }
    }
}
