use super::*;

/// In the manner of the real schemas, shortened.
const DEVICES: &str = r#"{"type":"array","instanceId":"sbdf","items":{"type":"object",
    "additionalProperties":false,"required":["sbdf","dl_bus_address"],"properties":{
    "owner":{"enum":["OWNER_PASSTHRU","OWNER_VMKERNEL"],"type":"string"},
    "dl_bus_address":{"vital":true,"type":"string"},
    "sbdf":{"instanceId":true,"minLength":12,"type":"ID","maxLength":12},
    "max_vfs":{"type":"long","minimum":0,"maximum":64}}}}"#;
const LISTS: &str = r#"{"type":"object","additionalProperties":false,"required":["a"],
    "properties":{"a":{"type":"object","required":["x"],"properties":{"x":{"type":"boolean"},
    "y":{"type":"string","cached":true}}},"b":{"type":"array","minItems":1,"items":{
    "type":"object","required":["id"],"additionalProperties":false,
    "properties":{"id":{"type":"long"}}}}}}"#;

fn judged(schema: &str, column: ValueColumn, value: &str, others: &[&str]) -> String {
    let parse = |text: &&str| serde_json::from_str::<Value>(text).unwrap();
    let schema = parse(&schema);
    let others: Vec<Value> = others.iter().map(parse).collect();
    let row = RowSchema::of(&schema);
    match row.check("0000:00:1a.0", column, &parse(&value), &others) {
        Ok(()) => "fine".to_owned(),
        Err(Broken { at, why }) => format!("{at} {why}"),
    }
}

#[test]
fn a_row_is_held_against_its_schema() {
    const VITAL: &str = r#"{"sbdf":"0000:00:1a.0","dl_bus_address":"p0000:00:1a.0"}"#;
    let cases = [
        (
            r#"{"sbdf":"0000:00:1a.0","owner":"OWNER_PASSTHRU"}"#,
            "fine",
        ),
        (r#"{"owner":"OWNER_PASSTHRU","max_vfs":8}"#, "fine"),
        (
            r#"{"owner":"passthru"}"#,
            "owner is \"passthru\", not one of \"OWNER_PASSTHRU\", \"OWNER_VMKERNEL\"",
        ),
        (r#"{"owner":7}"#, "owner is not of type string"),
        (r#"{"max_vfs":1.5}"#, "max_vfs is not of type long"),
        (
            r#"{"max_vfs":65}"#,
            "max_vfs is above the schema's maximum of 64",
        ),
        (
            r#"{"max_vfs":-1}"#,
            "max_vfs is below the schema's minimum of 0",
        ),
        (
            r#"{"sbdf":"0:1a.0"}"#,
            "sbdf is below the schema's minLength of 12",
        ),
        (
            r#"{"sbdf":"0000:00:1b.0"}"#,
            "sbdf is \"0000:00:1b.0\", but the row's Identifier is \"0000:00:1a.0\"",
        ),
        (r#"{"ownr":"OWNER_PASSTHRU"}"#, "ownr is not in the schema"),
        (
            r#"{"dl_bus_address":"p"}"#,
            "dl_bus_address is kept in column VitalValue",
        ),
        ("[]", "it is not of type object"),
    ];
    for (value, expected) in cases {
        let found = judged(DEVICES, ValueColumn::User, value, &[VITAL]);
        assert_eq!(found, expected, "{value}");
    }
}

#[test]
fn what_is_required_may_stand_in_any_column_of_the_row() {
    let user = r#"{"owner":"OWNER_PASSTHRU"}"#;
    let alone = judged(DEVICES, ValueColumn::User, user, &[]);
    assert_eq!(alone, "dl_bus_address is required and missing");
    let cases = [
        (
            ValueColumn::User,
            r#"{"a":{"x":true}}"#,
            &[] as &[&str],
            "fine",
        ),
        (
            ValueColumn::Cached,
            r#"{"a":{"y":"s"}}"#,
            &[r#"{"a":{"x":true}}"#],
            "fine",
        ),
        (
            ValueColumn::Cached,
            r#"{"a":{"y":"s"}}"#,
            &[],
            "a.x is required and missing",
        ),
        (
            ValueColumn::Cached,
            r#"{"a":{"x":true,"y":"s"}}"#,
            &[],
            "a.x is kept in column UserValue",
        ),
        (
            ValueColumn::User,
            r#"{"a":{"x":true},"b":[{"id":1},{}]}"#,
            &[],
            "b[1].id is required and missing",
        ),
        (
            ValueColumn::User,
            r#"{"a":{"x":true},"b":[]}"#,
            &[],
            "b is below the schema's minItems of 1",
        ),
    ];
    for (column, value, others, expected) in cases {
        assert_eq!(judged(LISTS, column, value, others), expected, "{value}");
    }
}

/// A number that no double holds has no bounds that it could be held against.
#[test]
fn a_number_is_within_what_a_host_can_hold() {
    let schema = r#"{"type":"object","properties":{"share":{"type":"double"}}}"#;
    let judged = |value| judged(schema, ValueColumn::User, value, &[]);
    assert_eq!(judged(r#"{"share":1e300}"#), "fine");
    assert_eq!(
        judged(r#"{"share":1e400}"#),
        "share is a number beyond all that a host can hold"
    );
}
