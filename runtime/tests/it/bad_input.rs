//! What docs/input.md says of each kind of input, as data: the decoder's own tests run it, and the whole pipeline does.

/// What the pipeline of these cases takes; `More` is nobody's.
pub const FIELDS: [(&str, &str); 4] = [("n", "int64?"), ("f", "float64?"), ("t", "text?"), ("l", "list<int64>?")];

pub struct Case {
    pub name: &'static str,
    /// None: a tombstone.
    pub value: Option<Vec<u8>>,
    /// The row as a sink writes it, or the code of the reject.
    pub outcome: Result<&'static str, &'static str>,
}

const NOTHING: &str = r#"{"n":null,"f":null,"t":null,"l":null}"#;
/// Nearly what a broker takes as it comes.
const LARGE: usize = 900_000;

pub fn cases() -> Vec<Case> {
    let case = |name, value: &[u8], outcome| Case { name, value: Some(value.to_vec()), outcome };
    let deep = |before: &str, open: &str, close: &str, after: &str| {
        let depth = LARGE / (open.len() + close.len()).max(1);
        format!("{before}{}1{}{after}", open.repeat(depth), close.repeat(depth)).into_bytes()
    };
    let texts = [
        Case { name: "tombstone", value: None, outcome: Err("no_value") },
        case("empty", b"", Err("not_json")),
        case("blank", b" \n\t", Err("not_json")),
        case("truncated", br#"{"n":1,"t":"ab"#, Err("not_json")),
        case("more behind it", br#"{"n":1} x"#, Err("not_json")),
        case("two objects", br#"{"n":1}{"n":2}"#, Err("not_json")),
        case("space around it", b" \n{ } \r\n", Ok(NOTHING)),
        case("byte order mark", b"\xef\xbb\xbf{}", Err("not_json")),
        case("UTF-16", b"{\0\"\0n\0\"\0:\x001\0}\0", Err("not_json")),
        case("not UTF-8", b"{\"t\":\"\xff\"}", Err("not_json")),
        case("not UTF-8, in a field that nobody takes", b"{\"More\":\"\xff\"}", Ok(NOTHING)),
        case("half a surrogate pair", br#"{"t":"\ud800"}"#, Err("not_json")),
        case("a surrogate as UTF-8", b"{\"t\":\"\xed\xa0\x80\"}", Err("not_json")),
        case("a control character as it is", b"{\"t\":\"a\nb\"}", Err("not_json")),
        case("NUL, escaped", br#"{"t":"\u0000"}"#, Ok(r#"{"n":null,"f":null,"t":"\u0000","l":null}"#)),
        case("an array", b"[{}]", Err("not_an_object")),
        case("a number", b"1", Err("not_an_object")),
        case("null", b"null", Err("not_an_object")),
    ];
    let numbers = [
        case("NaN", br#"{"f":NaN}"#, Err("not_json")),
        case("NaN, in a field that nobody takes", br#"{"More":NaN}"#, Err("not_json")),
        case("infinity", br#"{"f":-Infinity}"#, Err("not_json")),
        case("NaN as a text", br#"{"f":"NaN"}"#, Err("wrong_type")),
        case("beyond float64", br#"{"f":1e999}"#, Err("not_json")),
        case("below float64", br#"{"f":1e-999}"#, Ok(r#"{"n":null,"f":0.0,"t":null,"l":null}"#)),
        case("minus zero, a float64", br#"{"f":-0}"#, Ok(r#"{"n":null,"f":-0.0,"t":null,"l":null}"#)),
        case("minus zero, an int64", br#"{"n":-0}"#, Err("wrong_type")),
        case(
            "the largest int64",
            br#"{"n":9223372036854775807}"#,
            Ok(r#"{"n":9223372036854775807,"f":null,"t":null,"l":null}"#),
        ),
        case("beyond int64", br#"{"n":9223372036854775808}"#, Err("wrong_type")),
        case("far beyond int64", br#"{"n":1000000000000000000000}"#, Err("wrong_type")),
        case(
            "far beyond int64, a float64",
            br#"{"f":1000000000000000000000}"#,
            Ok(r#"{"n":null,"f":1e+21,"t":null,"l":null}"#),
        ),
        case("a whole number with a point", br#"{"n":1.0}"#, Err("wrong_type")),
    ];
    let shapes = [
        case("a field twice", br#"{"t":"a","t":"b"}"#, Err("duplicate_field")),
        case("a field twice, once escaped", br#"{"t":"a","\u0074":"b"}"#, Err("duplicate_field")),
        case("a field twice that nobody takes", br#"{"More":1,"More":2}"#, Ok(NOTHING)),
        case("null in a list", br#"{"l":[1,null]}"#, Err("wrong_type")),
        case("deep, and not closed", &vec![b'['; LARGE], Err("not_an_object")),
        case("deep, in a field", &deep("{\"l\":", "[", "]", "}"), Err("wrong_type")),
        case("deep, in a field that nobody takes", &deep("{\"More\":", "[", "]", "}"), Ok(NOTHING)),
        case("deep objects, in a field that nobody takes", &deep("{\"More\":", "{\"a\":", "}", "}"), Ok(NOTHING)),
        case("deep, in a field that nobody takes, and not closed", &deep("{\"More\":", "[", "", ""), Err("not_json")),
        case("large", format!("{{\"More\":\"{}\"}}", "é".repeat(LARGE / 2)).as_bytes(), Ok(NOTHING)),
    ];
    texts.into_iter().chain(numbers).chain(shapes).collect()
}
