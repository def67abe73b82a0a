"""What bindings/tables makes of the options in src/cache/options.rs: for each language the field or parameter, its
default, what is said of it, and how its value becomes the core's."""

import re
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple, Optional

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 120
KINDS = {
    "Option<&'a [u8]>": "secret", "&'a [&'a [u8]]": "secrets", "&'a str": "text", "usize": "bytes", "Duration": "time",
    "Synchronous": "flag",
}


class Option(NamedTuple):
    name: str
    kind: str
    default: str
    """The default as Rust has it; of a time in milliseconds, of bytes the number, of a text the text."""
    says: str
    """Without the default."""
    after: str
    """What is said after the default."""
    bounds: Optional[tuple]
    """Of a time, in milliseconds."""


def number(text):
    """A Duration in milliseconds, or a number of bytes."""
    found = re.fullmatch(r"(?:Duration::from_(secs|millis)\()?(\d+)\)?(?: << (\d+))?", text)
    if text in ("Duration::ZERO", "HOUR"):
        return 3_600_000 if text == "HOUR" else 0
    if not found:
        sys.exit(f"src/cache/options.rs, src/limits.rs: {text} is no time that bindings/tables can read")
    return int(found[2]) * (1000 if found[1] == "secs" else 1) << int(found[3] or 0)


def human(ms):
    return "1 hour" if ms == 3_600_000 else f"{ms // 1000} s" if ms % 1000 == 0 else f"{ms} ms"


def table():
    source = (ROOT / "src/cache/options.rs").read_text()
    limits = (ROOT / "src/limits.rs").read_text()
    rows = source[source.index("\noptions! {\n"):]
    rows = rows[:rows.index("\n}\n")]
    for comment, name, type_, default, bounds, why in re.findall(
        r'((?:    /// .*\n)+)    (\w+): (.*?) = (.*?)(?:, (\w+), "(.*)")?;$', rows, re.M
    ):
        says, found, after = " ".join(line.strip()[4:] for line in comment.splitlines()).partition(" Default: ")
        kind = KINDS[type_]
        said = {"secret": "none", "secrets": "none", "flag": "[`Synchronous::Full`]"}.get(kind)
        span = None
        if kind == "text":
            default = default.strip('"')
            said = f"`{default}`"
        if kind in ("bytes", "time"):
            default = number(default)
            said = f"{default >> 20} MiB" if kind == "bytes" else human(default)
        if bounds:
            least, most = re.search(rf" {bounds}: RangeInclusive<Duration> = (.*)\.\.=(.*);", limits).groups()
            span = (number(least), number(most))
            told = f"from {human(span[0])} to {human(span[1])}" if span[0] else f"at most {human(span[1])}"
            if why != f"it must be {told}":
                sys.exit(f"src/cache/options.rs: {name} is refused with other bounds than {bounds} of src/limits.rs: {told}")
            said += f"; {told}"
        if not found or not after.startswith(said):
            sys.exit(f"src/cache/options.rs: what is said of {name} must end with: Default: {said}.")
        yield Option(name, kind, default, says, after[len(said):].strip(".").lstrip(", "), span)


# How a language writes a name in code, an error, and a true and a false `synchronous`.
CODE = {"C": "{}", "Ruby": "+{}+", "C++": "{}"}
ERROR = {"C": "VIDCACHE_{}", "UniFFI": "`{}`", "Python": "`{}`", "Kotlin": "[{}]", "Ruby": "{{{}}}", "Node": "`{}`", "guide": "`{}`"}
SYNCHRONOUS = {"C": ("VIDCACHE_SYNCHRONOUS_FULL", "VIDCACHE_SYNCHRONOUS_NORMAL"), "Ruby": ("+:full+", "+:normal+")}


def camel(name):
    return re.sub(r"_(\w)", lambda letter: letter[1].upper(), name)


def snake(name):
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def called(option, language):
    """The option's name in the language."""
    if option.kind == "flag":
        return {"UniFFI": "full", "Swift": "full", "Python": "durable", "Kotlin": "durable", "Node": "durable"}.get(language, option.name)
    name = f"{option.name}_ms" if option.kind == "time" and language in ("C", "UniFFI", "Swift", "Node") else option.name
    return camel(name) if language in ("Kotlin", "Swift", "Node") else name


def default(option, language):
    """The default as the language's sentences have it."""
    match option.kind:
        case "time" if language in ("C", "UniFFI", "Swift", "Node"):
            return f"{option.default}"
        case "time" if language in ("Python", "Ruby"):
            return f"{option.default / 1000}"
        case "time":
            return human(option.default)
        case "bytes":
            return f"{option.default >> 20} MiB"
        case "text":
            return option.default
        case "flag":
            return ":full" if language == "Ruby" else "True" if language == "Python" else "true"
    return "none"


def bounds(option, language):
    if not option.bounds:
        return ""
    least, most = (
        human(ms) if language == "Kotlin" else f"{ms}" if language in ("C", "UniFFI", "Swift", "Node") else f"{ms / 1000:g}" for ms in option.bounds
    )
    return f"from {least} to {most}" if option.bounds[0] else f"at most {most}"


def sentences(option, language, with_default=True):
    """What is said of the option, in the language's words."""
    write = "UniFFI" if language == "Swift" else language
    text = re.sub(r"\[`Error::(\w+)`\]", lambda error: ERROR.get(write, "{}").format({"C": snake(error[1]).upper(), "UniFFI": snake(error[1]), "Node": snake(error[1])}.get(write, error[1])), option.says)
    text = re.sub(r"`([^`]+)`", lambda code: CODE.get(language, "`{}`").format(code[1]), text)
    if option.kind == "flag" and language in SYNCHRONOUS:
        full, normal = SYNCHRONOUS[language]
        return text.replace("If not,", f"{full} (the default): it does. {normal}:")
    limits = bounds(option, language)
    if option.kind == "time" and language != "Kotlin":
        unit = "seconds" if language in ("Python", "Ruby") else "milliseconds"
        limits = f"in {unit}, {limits}" if limits else f"in {unit}"
    if limits:
        text += f" {limits[0].upper()}{limits[1:]}."
    if with_default and option.kind not in ("secret", "secrets"):
        said = default(option, language)
        said = CODE.get(language, "`{}`").format(said) if option.kind == "text" else said
        text += f" Default: {said}{', ' if option.after else ''}{option.after}."
    return text


def wrapped(text, indent, begin="", width=WIDTH):
    return "".join(f"{line}\n" for line in textwrap.wrap(text, width, initial_indent=indent + begin, subsequent_indent=indent + ("  " if begin.startswith("@") else ""), break_long_words=False, break_on_hyphens=False))


def rust_comment(option, language, indent):
    return wrapped(sentences(option, language), f"{indent}/// ")


def c_type(option):
    """32 bits for the times and the flag that fill whole words together; what came later fills one by itself, so that
    the struct never ends with padding."""
    together = ("busy_timeout", "page_deadline", "synchronous")
    return "u32" if option.name in together else "u64"


# The fields of C: type, and what the library's default is.
def c_fields(_):
    text = ""
    for option in table():
        name, comment = called(option, "C"), rust_comment(option, "C", "    ")
        match option.kind:
            case "secret" | "text":
                text += comment + f"    pub {name}: *const c_char,\n    /// The bytes of {name}, at most 4096.\n    pub {name}_len: usize,\n"
            case "secrets":
                text += f"    /// How many {name} there are, at most 16. Default: 0.\n    pub {name}_len: u32,\n" + comment + f"    pub {name}: *const vidcache_secret,\n"
            case _:
                text += comment + f"    pub {name}: {c_type(option)},\n"
    return text


def c_defaults(_):
    text = ""
    for option in table():
        name = called(option, "C")
        match option.kind:
            case "secret" | "text":
                text += f"            {name}: ptr::null(),\n            {name}_len: 0,\n"
            case "secrets":
                text += f"            {name}_len: 0,\n            {name}: ptr::null(),\n"
            case "bytes":
                text += f"            {name}: defaults.{option.name} as u64,\n"
            case "time":
                value = f"milliseconds(defaults.{option.name})"
                text += f"            {name}: {value if c_type(option) == 'u32' else f'{value}.into()'},\n"
            case "flag":
                text += f"            {name}: VIDCACHE_SYNCHRONOUS_FULL,\n"
    return text


def c_values(_):
    text = ""
    for option in table():
        name, field = option.name, f"options.{called(option, 'C')}"
        value = {
            "secret": f'given({field}, {field}_len).optional(input::MAX_OPTION, wrong("{name}"))?',
            "text": f'given({field}, {field}_len).text(input::MAX_OPTION, "{name}")?.unwrap_or(defaults.{name})',
            "bytes": f"usize::try_from({field}).unwrap_or(usize::MAX)",
            "time": f"Duration::from_millis({field}{'.into()' if c_type(option) == 'u32' else ''})",
            "flag": f"{name}({field})?",
        }.get(option.kind)
        line = f"            {name}: {value},\n" if value else f"            {name},\n"
        if len(line) > WIDTH + 1:  # As rustfmt breaks a chain.
            line = line.replace(").", ")\n                .").replace("?.", "?\n                .")
        text += line
    return text


def cpp_fields(_):
    types = {"secret": "std::string_view", "text": "std::string_view", "bytes": "std::uint64_t", "time": "std::chrono::milliseconds"}
    text = ""
    for option in table():
        match option.kind:
            case "flag":
                text += f"  bool {option.name}_full = true;\n"
            case "secrets":
                text += f"  std::vector<std::string_view> {option.name};\n"
            case kind:
                text += f"  std::optional<{types[kind]}> {option.name};\n"
    return text


def cpp_values(_):
    text = ""
    for option in table():
        name, field = option.name, called(option, "C")
        match option.kind:
            case "secret" | "text":
                text += f"  raw.{field} = detail::data(chosen.{name});\n  raw.{field}_len = detail::size(chosen.{name});\n"
            case "bytes":
                text += f"  if (chosen.{name}) raw.{field} = *chosen.{name};\n"
            case "time":
                text += f"  if (chosen.{name}) raw.{field} = milliseconds(*chosen.{name});\n"
            case "flag":
                text += f"  raw.{field} = chosen.{name}_full ? VIDCACHE_SYNCHRONOUS_FULL : VIDCACHE_SYNCHRONOUS_NORMAL;\n"
            case "secrets":
                text += (
                    f"  for (const auto &secret : chosen.{name}) {name}.push_back({{secret.data(), secret.size()}});\n"
                    f"  raw.{field} = {name}.data();\n  raw.{field}_len = static_cast<std::uint32_t>({name}.size());\n"
                )
    return text


def uniffi_fields(_):
    types = {"secret": "Option<Vec<u8>>", "secrets": "Vec<Vec<u8>>", "flag": "bool", "text": "Option<String>"}
    defaults = {"secrets": "[]", "flag": "true"}
    text = ""
    for option in table():
        text += rust_comment(option, "UniFFI", "    ") + f"    #[uniffi(default = {defaults.get(option.kind, 'None')})]\n"
        text += f"    pub {called(option, 'UniFFI')}: {types.get(option.kind, 'Option<u64>')},\n"
    return text


def uniffi_values(_):
    return core_values("UniFFI", " " * 12, "self", "Duration::from_millis")


def core_values(binding, indent, given, milliseconds):
    """The core's options, each from a field of `given`."""
    text = ""
    for option in table():
        name, field = option.name, f"{given}.{snake(called(option, binding))}"
        text += indent + {
            "secret": f"{name}: {field}.as_deref(),\n",
            "secrets": f"{name}: &{name},\n",
            "text": f"{name}: {field}.as_deref().unwrap_or(defaults.{name}),\n",
            "bytes": f"{name}: {field}.map_or(defaults.{name}, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),\n",
            "time": f"{name}: {field}.map_or(defaults.{name}, {milliseconds}),\n",
            "flag": f"{name}: if {field} {{ Synchronous::Full }} else {{ Synchronous::Normal }},\n",
        }[option.kind]
    return text


def node_fields(_):
    types = {"secret": "Option<Buffer>", "secrets": "Vec<Buffer>", "flag": "bool", "text": "Option<String>"}
    return "".join(f"    pub {snake(called(option, 'Node'))}: {types.get(option.kind, 'Option<i64>')},\n" for option in table())


def node_options(_):
    return core_values("Node", " " * 12, "self", "milliseconds")


def node_types(_):
    types = {"secret": "Bytes | string | null", "secrets": "readonly (Bytes | string)[]", "flag": "boolean", "text": "string"}
    text = ""
    for option in table():
        text += "  /**\n" + wrapped(sentences(option, "Node"), "   * ") + f"   */\n  {called(option, 'Node')}?: {types.get(option.kind, 'number')};\n"
    return text


def node_values(_):
    text = ""
    for option in table():
        name = called(option, "Node")
        value = {
            "secret": f"input.secret(options.{name})",
            "secrets": f"input.secrets(options.{name})",
            "flag": f"input.flag(options.{name}, '{name}', true)",
            "text": f"input.text(options.{name}, '{name}')",
        }.get(option.kind, f"input.count(options.{name}, '{name}')")
        text += f"    {name}: {value},\n"
    return text


def python_parameters(_):
    text = ""
    for option in table():
        text += "        " + {
            "secret": f"{option.name}: Union[bytes, str, None] = None",
            "secrets": f"{option.name}: Sequence[Union[bytes, str]] = ()",
            "text": f'{option.name}: str = "{option.default}"',
            "bytes": f"{option.name}: int = {int(option.default) >> 20 if option.kind == 'bytes' else 0} << 20",
            "time": f"{option.name}: float = {default(option, 'Python')}",
            "flag": f"{called(option, 'Python')}: bool = True",
        }[option.kind] + ",\n"
    return text + "    ) -> None:\n"


def python_comment(_):
    text = " ".join(f"`{called(option, 'Python')}`: {sentences(option, 'Python', False)}" for option in table())
    return wrapped(text, "        ") + "\n"


def python_values(_):
    text = ""
    for option in table():
        name, field = called(option, "Python"), called(option, "UniFFI")
        value = {
            "secret": f"_input.secret({name})",
            "secrets": f"_input.secrets({name})",
            "text": f'_input.optional_text({name}, "{name}")',
            "bytes": f'_input.count({name}, "{name}", HIGHEST)',
            "time": f'_input.milliseconds({name}, "{name}")',
            "flag": name,
        }[option.kind]
        text += f"            {field}={value},\n"
    return text


def kotlin_comment(_):
    text = ""
    for option in table():
        said = sentences(option, "Kotlin", False)
        text += wrapped(f"@param {called(option, 'Kotlin')} {said[0].lower()}{said[1:].rstrip('.')}", " * ", width=WIDTH - 2).replace("\n * ", "\n *   ")[:-1] + "\n"
    return text


def kotlin_parameters(_):
    text = ""
    for option in table():
        name = called(option, "Kotlin")
        text += "    " + {
            "secret": f"{name}: ByteArray? = null",
            "secrets": f"{name}: List<ByteArray> = emptyList()",
            "text": f'{name}: String = "{option.default}"',
            "bytes": f"{name}: Long = {int(option.default) >> 20 if option.kind == 'bytes' else 0}L shl 20",
            "time": f"{name}: Duration = Duration.of{duration(option)}",
            "flag": f"{name}: Boolean = true",
        }[option.kind] + ",\n"
    return text


def duration(option):
    if option.kind != "time":
        return ""
    return f"Seconds({option.default // 1000})" if option.default % 1000 == 0 else f"Millis({option.default})"


def kotlin_values(_):
    text = ""
    for option in table():
        name, field = called(option, "Kotlin"), camel(called(option, "UniFFI"))
        value = {
            "text": f'Input.text({name}, "{option.name}")',
            "bytes": f'Input.count({name}, "{option.name}", Long.MAX_VALUE).toULong()',
            "time": f'Input.milliseconds({name}, "{option.name}")',
        }.get(option.kind, name)
        text += f"            {field} = {value},\n"
    return text


def ruby_comment(_):
    types = {"secret": "String, nil", "secrets": "Array<String>", "text": "String", "bytes": "Integer", "time": "Numeric", "flag": "Symbol"}
    text = ""
    for option in table():
        said = sentences(option, "Ruby", False)
        text += wrapped(f"@param {option.name} [{types[option.kind]}] {said[0].lower()}{said[1:].rstrip('.')}", "  # ", width=WIDTH - 2).replace("\n  # ", "\n  #   ")[:-1] + "\n"
    return text


def ruby_default(option):
    return {
        "secret": "nil", "secrets": "[]", "text": f'"{option.default}"', "flag": ":full", "time": default(option, "Ruby"),
        "bytes": f"{int(option.default) >> 20 if option.kind == 'bytes' else 0} * 1024 * 1024",
    }[option.kind]


def ruby_open(_):
    options = list(table())
    head = "  def self.open("
    text = textwrap.fill(head + ", ".join(["path", "portal_id:", *(f"{option.name}:~{ruby_default(option).replace(' ', '~')}" for option in options)]) + ")",
                         WIDTH, subsequent_indent=" " * len(head), break_long_words=False, break_on_hyphens=False).replace("~", " ")
    given = ", ".join(option.name for option in options)
    return f"{text}\n    Cache.__send__(:native_open, path, portal_id, [{given}])\n"


def ruby_types(_):
    types = {"secret": "String?", "secrets": "Array[String]", "text": "String", "bytes": "Integer", "time": "Numeric", "flag": ":full | :normal"}
    return ",\n".join(f"    ?{option.name}: {types[option.kind]}" for option in table()) + "\n"


def ruby_values(_):
    text = ""
    for place, option in enumerate(table()):
        name, given = option.name, f"options.entry({place})?"
        value = {
            "secret": f"{name}.as_deref()", "secrets": f"&{name}", "text": f"&{name}", "bytes": f'convert::count({given}, "{name}")?',
            "time": f'convert::seconds(ruby, {given}, "{name}")?', "flag": f"convert::{name}({given})?",
        }[option.kind]
        text += f"                {name}: {value},\n"
    return text


def ruby_owned(_):
    """The owner of what the core borrows."""
    text = ""
    for place, option in enumerate(table()):
        name, given = option.name, f"options.entry({place})?"
        text += {
            "secret": f"            let {name} = convert::secret({given})?;\n",
            "secrets": f"            let {name} = convert::secrets({given})?;\n            let {name}: Vec<&[u8]> = {name}.iter().map(Vec::as_slice).collect();\n",
            "text": f'            let {name} = convert::text_option(ruby, {given}, "{name}")?;\n',
        }.get(option.kind, "")
    return text


def guide(language):
    def rows(_):
        text = "\n| option | default | |\n| --- | --- | --- |"
        for option in table():
            said = {"secrets": "none", "secret": "none"}.get(option.kind, f"`{default(option, language)}`" if option.kind in ("text", "flag") else default(option, language))
            says = sentences(option, language, False).replace("+", "`") if language == "Ruby" else sentences(option, language, False)
            says = re.sub(r"\{(\w+)\}|\[(\w+)\]", r"`\1\2`", says)
            text += f"\n| `{called(option, language)}` | {said} | {says} |"
        return text
    return rows


KOTLIN, PYTHON = "bindings/uniffi/kotlin/src/vidcache/Cache.kt", "bindings/uniffi/python/src/vidcache/cache.py"
RUBY, EXTENSION, UNIFFI, C = "ruby/lib/vidcache/cache.rb", "ruby/ext/vidcache/src/cache.rs", "bindings/uniffi/src/cache.rs", "bindings/c/src/handle.rs"
# In each file what is made stands between two lines that stay, as in bindings/tables.
MADE = [
    (C, c_fields, "    /// sizeof(vidcache_options), set by the caller.\n    pub size: usize,\n    // From here on: made by bindings/tables.\n", "}\n"),
    (C, c_defaults, "            size: size_of::<Self>(),\n            // Made by bindings/tables.\n", "        }\n"),
    (C, c_values, "        Ok(Options {\n            // Made by bindings/tables.\n", "        })\n"),
    ("include/vidcache.hpp", cpp_fields, "struct options {\n  // Made by bindings/tables.\n", "};\n"),
    ("include/vidcache.hpp", cpp_values, "  const vidcache_result code = vidcache_options_init(&raw);\n  // Made by bindings/tables.\n", "  return code;\n"),
    (UNIFFI, uniffi_fields, "pub struct OpenOptions {\n    // Made by bindings/tables.\n", "}\n"),
    (UNIFFI, uniffi_values, "        work(&Options {\n            // Made by bindings/tables.\n", "        })\n"),
    (PYTHON, python_parameters, "        # From here on: made by bindings/tables.\n", '        """Opens the file'),
    (PYTHON, python_comment, "        none. The folder must exist, on a local disk.\n\n", "        Raises `InvalidPortal`"),
    (PYTHON, python_values, "        options = native.OpenOptions(\n            # Made by bindings/tables.\n", "        )\n"),
    (KOTLIN, kotlin_comment, " * @param portalId the HubSpot account's id: from 1 to 2^63 - 1\n", " * @throws InvalidPortal\n"),
    (KOTLIN, kotlin_parameters, "    // From here on: made by bindings/tables.\n", ") : AutoCloseable"),
    (KOTLIN, kotlin_values, "            // The options: made by bindings/tables.\n", "        )\n"),
    (RUBY, ruby_comment, "  # @param portal_id [Integer, String] the HubSpot account's id, from 1 to 2^63 - 1\n", "  # @return [Cache]\n"),
    (RUBY, ruby_open, "  # @raise [Busy] when another process is at work in it for too long\n", "  end\n"),
    ("ruby/sig/vidcache.rbs", ruby_types, "    # Made by bindings/tables: the options.\n", "  ) -> Cache\n"),
    (EXTENSION, ruby_owned, "            // The options: made by bindings/tables.\n", "            let options = Options {\n"),
    (EXTENSION, ruby_values, "            let options = Options {\n", "            };\n"),
    ("bindings/node/src/cache.rs", node_fields, "pub struct OpenOptions {\n    // Made by bindings/tables.\n", "}\n"),
    ("bindings/node/src/cache.rs", node_options, "        work(&Options {\n            // Made by bindings/tables.\n", "        })\n"),
    ("bindings/node/lib/options.js", node_values, "  const given = {\n    // Made by bindings/tables.\n", "  };\n"),
    ("bindings/node/index.d.ts", node_types, "export interface OpenOptions {\n  // Made by bindings/tables.\n", "}\n"),
    *((f"docs/guides/{language.lower()}.md", guide(language), "<!-- The options: made by bindings/tables. -->\n", "\n\n") for language in ("Ruby", "Python", "Kotlin", "Swift", "Node")),
]
