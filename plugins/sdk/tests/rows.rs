//! A plugin of rows, from the columns of a call to those that it returns.

use millrace_plugin::{
    Bytes, Column, ConfigError, Data, Date, Dict, Input, Items, Plugin, ReadRow, Refused, RowPlugin, Scalars,
    Timestamp, Varlen, WriteRow, binary, boolean, date, float64, int64, text, timestamp,
};

#[derive(ReadRow)]
struct Everything<'a> {
    yes: bool,
    #[column("Count")]
    count: i64,
    share: Option<f64>,
    name: &'a str,
    nick: Option<&'a str>,
    raw: &'a [u8],
    day: Date,
    at: Timestamp,
    tags: Vec<&'a str>,
    marks: Option<Vec<i64>>,
    r#type: i64,
}

#[derive(WriteRow)]
struct Back {
    yes: bool,
    #[column("Count")]
    count: i64,
    share: Option<f64>,
    name: String,
    nick: Option<String>,
    raw: Bytes,
    day: Date,
    at: Timestamp,
    tags: Vec<String>,
    marks: Option<Vec<i64>>,
    kind: &'static str,
}

#[derive(Default)]
struct Same;

impl RowPlugin for Same {
    const NAME: &str = "same";
    const VERSION: &str = "1.0.0";
    const DROPS: &[&str] = &["Count"];
    type In<'a> = Everything<'a>;
    type Out = Back;

    fn open(_config: &str) -> Result<Same, Vec<ConfigError>> {
        Ok(Same)
    }

    fn row(&self, row: Everything<'_>) -> Result<Back, Refused> {
        if row.r#type == 13 {
            return Err(Refused::new("unlucky", format!("{} has it", row.name)));
        }
        Ok(Back {
            yes: row.yes,
            count: row.count,
            share: row.share,
            name: row.name.to_owned(),
            nick: row.nick.map(str::to_owned),
            raw: Bytes(row.raw.to_vec()),
            day: row.day,
            at: row.at,
            tags: row.tags.iter().map(|tag| tag.to_string()).collect(),
            marks: row.marks,
            kind: "back",
        })
    }
}

fn flat(scalars: Scalars) -> Column {
    Column { validity: None, data: Data::Flat(scalars) }
}

fn maybe(validity: u8, scalars: Scalars) -> Column {
    Column { validity: Some(vec![validity]), data: Data::Flat(scalars) }
}

fn varlen(offsets: &[u32], bytes: &str) -> Varlen {
    Varlen { offsets: offsets.to_vec(), bytes: bytes.as_bytes().to_vec() }
}

/// Ann, Bob and Cid; Bob has no share, no nick and no marks, and Cid an empty list of them.
fn columns(types: [i64; 3]) -> Vec<Column> {
    let tags =
        Items { offsets: vec![0, 2, 2, 3], validity: None, values: Scalars::Texts(varlen(&[0, 1, 3, 3], "xyz")) };
    let marks = Items { offsets: vec![0, 2, 2, 2], validity: None, values: Scalars::S64s(vec![7, -7]) };
    vec![
        flat(Scalars::Bits(vec![0b101])),
        flat(Scalars::S64s(vec![1, -2, i64::MAX])),
        maybe(0b101, Scalars::F64s(vec![0.5, 0.0, -0.0])),
        flat(Scalars::DictTexts(Dict { keys: vec![1, 0, 2], values: varlen(&[0, 3, 6, 9], "BobAnnCid") })),
        maybe(0b101, Scalars::Texts(varlen(&[0, 1, 1, 1], "a"))),
        flat(Scalars::Binaries(Varlen { offsets: vec![0, 0, 1, 2], bytes: vec![0xff, 0] })),
        flat(Scalars::Days(vec![0, -1, 20_000])),
        flat(Scalars::MicrosUtc(vec![0, -1, 1])),
        Column { validity: None, data: Data::Nested(tags) },
        Column { validity: Some(vec![0b101]), data: Data::Nested(marks) },
        flat(Scalars::S64s(types.to_vec())),
    ]
}

#[test]
fn the_signature_is_the_structs() {
    let signature = Same.signature();
    let shared = [boolean("yes"), int64("Count"), float64("share").nullable()];
    let rest = [binary("raw"), date("day"), timestamp("at"), text("tags").list(), int64("marks").list().nullable()];
    let names = [text("name"), text("nick").nullable()];
    assert_eq!(signature.reads, [&shared[..], &names, &rest, &[int64("type")]].concat());
    assert_eq!(signature.adds, [&shared[..], &names, &rest, &[text("kind")]].concat());
    assert_eq!(signature.drops, ["Count"]);
}

#[test]
fn what_comes_goes_back() {
    let output = Same.process(&Input::new(3, columns([0; 3]))).expect("an answer");
    assert_eq!((output.lineage, output.refused), (None, vec![]));
    let mut expected = columns([0; 3]);
    expected[3] = flat(Scalars::Texts(varlen(&[0, 3, 6, 9], "AnnBobCid")));
    expected[10] = flat(Scalars::Texts(varlen(&[0, 4, 8, 12], "backbackback")));
    assert_eq!(output.columns, expected);
}

#[test]
fn a_refused_row_leaves_the_others() {
    let output = Same.process(&Input::new(3, columns([0, 13, 0]))).expect("an answer");
    let [refused] = &output.refused[..] else { panic!("{:?}", output.refused) };
    assert_eq!((refused.row, &*refused.code, &*refused.reason), (1, "unlucky", "Bob has it"));
    assert_eq!(output.lineage, None);
    assert_eq!(output.columns[1], flat(Scalars::S64s(vec![1, i64::MAX])));
}

#[derive(ReadRow)]
struct Number {
    n: i64,
}

#[derive(WriteRow)]
struct Part {
    part: i64,
}

/// As many rows as the number says.
#[derive(Default)]
struct Many;

impl RowPlugin for Many {
    type In<'a> = Number;
    type Out = Vec<Part>;

    fn row(&self, Number { n }: Number) -> Result<Vec<Part>, Refused> {
        Ok((0..n).map(|part| Part { part }).collect())
    }
}

/// Odd ones only.
#[derive(Default)]
struct Odd;

impl RowPlugin for Odd {
    type In<'a> = Number;
    type Out = Option<Part>;

    fn row(&self, Number { n }: Number) -> Result<Option<Part>, Refused> {
        Ok((n % 2 == 1).then_some(Part { part: n }))
    }
}

#[test]
fn several_rows_and_none() {
    let input = || Input::new(3, vec![flat(Scalars::S64s(vec![2, 0, 3]))]);
    let many = Many.process(&input()).expect("an answer");
    assert_eq!(many.lineage, Some(vec![0, 0, 2, 2, 2]));
    assert_eq!(many.columns, [flat(Scalars::S64s(vec![0, 1, 0, 1, 2]))]);
    let odd = Odd.process(&input()).expect("an answer");
    assert_eq!((odd.lineage, odd.columns), (Some(vec![2]), vec![flat(Scalars::S64s(vec![3]))]));
}

/// What is not said is the package's, and no config is taken.
#[test]
fn a_plugin_may_leave_out_what_is_usual() {
    let described = millrace_plugin::Opened::<Many>::new().describe("package", "1.2.3");
    assert_eq!((&*described.name, &*described.version), ("package", "1.2.3"));
    let described = millrace_plugin::Opened::<Same>::new().describe("package", "1.2.3");
    assert_eq!((&*described.name, &*described.version), ("same", "1.0.0"));
    assert!(["{}", "", " null "].iter().all(|config| <Many as RowPlugin>::open(config).is_ok()));
    let refused = <Many as RowPlugin>::open("{\"x\":1}").err().expect("a config");
    assert_eq!(refused[0].message, "this plugin takes no config");
}
